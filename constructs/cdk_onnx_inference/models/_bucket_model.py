"""Reads what the user says about a model that is in a bucket already."""

from __future__ import annotations

import os
from pathlib import Path

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from . import _manifest
from ._local_model import GRAPH, MAX_BYTES
from ._manifest import MANIFEST, Manifest
from ._served_model import ServedModel
from .model_part import ModelPart
from .model_source import FromBucket


def collect(path: str, source: FromBucket) -> tuple[ServedModel | None, list[Problem]]:
    """Reads the manifest, or takes the parts that the user gave.

    Args:
        path: Prefix of the problems' paths: the argument that holds the source.
        source: What the user gave.

    Returns:
        The model, or None and at least one problem.
    """
    manifest, parts, problems = _parts(path, source)
    if not is_unresolved(source.prefix) and (source.prefix.startswith("/") or "//" in source.prefix):
        problems.append(
            Problem(
                "model-prefix",
                f"{path}.prefix",
                repr(source.prefix),
                "what the objects' keys begin with, without a leading / and without //",
                "Give e.g. prefix='models/resnet/3/'.",
            )
        )
    size = sum(part.size for part in parts)
    if size > MAX_BYTES:
        problems.append(
            Problem(
                "model-too-large",
                f"{path}.parts",
                f"{size / 1000**3:.1f} GB",
                "less than the 10 GB of Lambda's /tmp",
                "Quantise the model, split it, or put it on a file system: ModelSource.on_efs.",
            )
        )
    if problems:
        return None, problems
    model = ServedModel(
        source=source,
        name=source.name or manifest.name or source.prefix.strip("/").rpartition("/")[2],
        digest=_manifest.digest_of(parts),
        files={},
        parts=parts,
        weights_in_graph=0,
        anonymous_bytes=manifest.anonymous_bytes,
        load_ms=manifest.load_ms,
        signature=manifest.signature,
    )
    return model, []


def _parts(path: str, source: FromBucket) -> tuple[Manifest, tuple[ModelPart, ...], list[Problem]]:
    if (source.manifest is None) == (source.parts is None):
        given = "neither manifest nor parts" if source.manifest is None else "both manifest and parts"
        return Manifest(), (), [_no_parts(path, given)]
    if source.parts is not None:
        return Manifest(), source.parts, _check(f"{path}.parts", source.parts)
    assert source.manifest is not None
    file = Path(os.path.abspath(source.manifest))  # noqa: PTH100  as for a model's path
    manifest, problems = _manifest.read(f"{path}.manifest", file)
    if problems:
        return manifest, (), problems
    if manifest.parts is None:
        return manifest, (), [_no_parts(path, f"a manifest without parts, {str(file)!r}")]
    problems = _check(f"{path}.manifest", manifest.parts)
    digest = _manifest.digest_of(manifest.parts)
    if manifest.digest not in (None, digest):
        problems.append(
            Problem(
                "model-digest-mismatch",
                f"{path}.manifest",
                f"parts whose digest is {digest}",
                f"{manifest.digest}, the digest in the same manifest",
                "Prepare the model again: the file was edited.",
            )
        )
    return manifest, (*manifest.parts, _manifest.part_of(MANIFEST, file)), problems


def _check(path: str, parts: tuple[ModelPart, ...]) -> list[Problem]:
    names = [part.path for part in parts]
    malformed = [part for part in parts if not _manifest.is_well_formed(part)]
    if GRAPH in names and len(set(names)) == len(names) and not malformed:
        return []
    return [
        Problem(
            "model-parts",
            path,
            repr(malformed[0]) if malformed else repr(names),
            f"each file of the model once, {GRAPH} among them: a relative path, a size in bytes, and a sha256 of 64 "
            "lower-case hexadecimal digits",
            "Give what `sha256sum` and `stat` print for the files.",
        )
    ]


def _no_parts(path: str, given: str) -> Problem:
    return Problem(
        "model-parts",
        path,
        given,
        "either manifest=, the package's manifest.json on this machine, or parts=",
        "Synth needs the model's digest: without it a new model would not publish a new version, and the download "
        "could not be checked.",
    )
