"""Reads what synth needs from a model package's `manifest.json`, which `onnx-inference prepare` writes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdk_onnx_inference.errors import Problem

from . import _signature
from ._signature import Signature
from .model_part import ModelPart

MANIFEST = "manifest.json"
"""Name of the file, in a package and wherever the package is put."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says. Every member may be absent.

    Args:
        name: The model's name (`name`).
        digest: `sha256:<hex>` of the model's parts (`digest`).
        parts: The graph and its weights (`parts`).
        anonymous_bytes: Memory that loading the model and one run took, measured with the session options that the
            manifest chose (`measurements.after.anonymous_mb`).
        load_ms: Milliseconds that loading took, likewise (`measurements.after.load_ms`).
        signature: What the model takes and gives (`signature`).
    """

    name: str | None = None
    digest: str | None = None
    parts: tuple[ModelPart, ...] | None = None
    anonymous_bytes: int | None = None
    load_ms: float | None = None
    signature: Signature | None = None


def read(path: str, file: Path) -> tuple[Manifest, list[Problem]]:
    """Reads a manifest.

    Args:
        path: The problems' path.
        file: The manifest.

    Returns:
        What it says, and a problem if the file is not a manifest: not JSON, or a member has the wrong type.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return _parsed(content), []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Manifest(), [
            Problem(
                "model-manifest",
                path,
                f"{str(file)!r}: {error!r}",
                "a manifest.json as onnx-inference prepare writes it",
                "Prepare the model again, or leave the manifest out of the package.",
            )
        ]


def part_of(name: str, file: Path) -> ModelPart:
    """The entry that a manifest has for a file on this machine."""
    with file.open("rb") as content:
        return ModelPart(name, file.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest())


def digest_of(parts: Iterable[ModelPart], *, manifest: bool = False) -> str:
    """Digest of the names and contents of the graph and its weights. Their order does not matter.

    It is the digest of what `sha256sum` prints for the files in the order of their names, so a shell can verify it:
    `cd model; sha256sum model.onnx model.onnx.data | sha256sum`.

    Args:
        parts: The parts of one model.
        manifest: Include the manifest, to tell two packages with equal weights apart. Default: it is left out.
    """
    listing = hashlib.sha256()
    for part in sorted(parts, key=lambda part: part.path):
        if manifest or part.path != MANIFEST:
            listing.update(f"{part.sha256}  {part.path}\n".encode())
    return f"sha256:{listing.hexdigest()}"


def is_well_formed(part: ModelPart) -> bool:
    """Whether the runtime accepts the part: a path below the model's directory, a size, and a SHA-256 digest."""
    return (
        is_below(part.path)
        and type(part.size) is int
        and part.size >= 0
        and isinstance(part.sha256, str)
        and _SHA256.fullmatch(part.sha256) is not None
    )


def is_below(name: object) -> bool:
    """Whether the runtime accepts it as a part's path: relative, without empty, hidden, `.` or `..` segments."""
    return (
        isinstance(name, str)
        and "\0" not in name
        and all(part and not part.startswith(".") for part in name.split("/"))
    )


def _parsed(content: Any) -> Manifest:
    if not isinstance(content, dict):
        raise TypeError("not a JSON object")
    digest = content.get("digest")
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise ValueError(f"digest {digest!r}")
    parts = content.get("parts")
    name = content.get("name")
    after = (content.get("measurements") or {}).get("after") or {}
    anonymous, load = after.get("anonymous_mb"), after.get("load_ms")
    return Manifest(
        name=None if name is None else str(name),
        digest=digest,
        parts=None if parts is None else tuple(_part(part) for part in parts),
        anonymous_bytes=None if anonymous is None else int(float(anonymous) * 1e6),
        load_ms=None if load is None else float(load),
        signature=_signature.of_manifest(content.get("signature")),
    )


def _part(content: Any) -> ModelPart:
    part = ModelPart(path=content["path"], size=content["size"], sha256=content["sha256"])
    if not is_well_formed(part):
        raise ValueError(f"part {content!r}")
    return part
