"""Reads templates and cloud assemblies, and runs the checks."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_inference.doctor.checks import ALL
from onnx_inference.doctor.finding import Finding
from onnx_inference.doctor.template import Template


class NotATemplate(ValueError):
    """What was given is neither a CloudFormation template in JSON nor a directory with one."""


def examine(template: Template, *, ignore: Collection[str] = ()) -> list[Finding]:
    """What the checks find in a template, errors first.

    Args:
        template: The template.
        ignore: Codes of checks that are left out.
    """
    found = [finding for check in ALL if check.code not in ignore for finding in check.find(template)]
    return sorted(found, key=lambda finding: finding.severity != "error")


def templates(path: Path) -> list[Template]:
    """The templates of a cloud assembly, nested ones and stages included, or the one of a file.

    Raises:
        NotATemplate: There is none, or it is not JSON.
    """
    if not path.exists():
        raise NotATemplate(f"{path} does not exist; give a directory that `cdk synth` wrote, or a template in JSON")
    files = sorted(path.rglob("*.template.json")) if path.is_dir() else [path]
    if not files:
        raise NotATemplate(f"{path} has no *.template.json; give a directory that `cdk synth` wrote")
    platforms = _image_platforms(path if path.is_dir() else path.parent)
    return [replace(_read(file), image_platforms=platforms) for file in files]


def _read(file: Path) -> Template:
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotATemplate(f"{file} is no template in JSON: {error}") from None
    if not isinstance(document, Mapping) or not isinstance(document.get("Resources"), Mapping):
        raise NotATemplate(f"{file} is no CloudFormation template: it has no Resources")
    return Template(file.name.removesuffix(".json").removesuffix(".template"), document)


def _image_platforms(directory: Path) -> dict[str, str | None]:
    platforms: dict[str, str | None] = {}
    for manifest in sorted(directory.rglob("*.assets.json")):
        platforms.update(_platforms_in(manifest))
    return platforms


def _platforms_in(manifest: Path) -> Iterator[tuple[str, str | None]]:
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # the checks of image platforms are left out
    for digest, asset in document.get("dockerImages", {}).items():
        yield digest, asset.get("source", {}).get("platform")
