"""Checks what the user says of a model that is in a bucket already."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from . import _model_manifest
from ._model_files import GRAPH, MAX_BYTES
from ._model_manifest import MANIFEST, Manifest
from ._signature import Signature
from .model_part import ModelPart
from .model_source import FromBucket


@dataclass(frozen=True, slots=True)
class BucketParts:
    """A model in a bucket.

    Attributes:
        name: The model's name in the Open Inference Protocol.
        parts: Its graph and weights, and the manifest if it was given.
        digest: `sha256:<hex>`, see `_model_manifest.digest_of`.
        anonymous_bytes: Memory that loading and one run were measured to take, or None.
        load_ms: What loading was measured to take, or None.
        signature: What the model takes and gives, or None without a manifest that says it.
    """

    name: str
    parts: tuple[ModelPart, ...]
    digest: str
    anonymous_bytes: int | None
    load_ms: float | None
    signature: Signature | None


def collect(path: str, source: FromBucket) -> tuple[BucketParts | None, list[Problem]]:
    """Reads the manifest, or takes the parts.

    Args:
        path: Prefix of the problems' paths: that of the argument which holds the source.
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
    name = source.name or manifest.name or source.prefix.strip("/").rpartition("/")[2]
    digest = _model_manifest.digest_of(parts)
    return BucketParts(name, parts, digest, manifest.anonymous_bytes, manifest.load_ms, manifest.signature), []


def _parts(path: str, source: FromBucket) -> tuple[Manifest, tuple[ModelPart, ...], list[Problem]]:
    if (source.manifest is None) == (source.parts is None):
        given = "neither manifest nor parts" if source.manifest is None else "both manifest and parts"
        return Manifest(), (), [_no_parts(path, given)]
    if source.parts is not None:
        return Manifest(), source.parts, _unfit(f"{path}.parts", source.parts)
    assert source.manifest is not None
    file = Path(os.path.abspath(source.manifest))  # noqa: PTH100  as for a model's path
    manifest, problems = _model_manifest.read(f"{path}.manifest", file)
    if problems:
        return manifest, (), problems
    if manifest.parts is None:
        return manifest, (), [_no_parts(path, f"a manifest without parts, {str(file)!r}")]
    problems = _unfit(f"{path}.manifest", manifest.parts)
    digest = _model_manifest.digest_of(manifest.parts)
    if manifest.digest not in (None, digest):
        problems.append(
            Problem(
                "model-digest-mismatch",
                f"{path}.manifest",
                f"parts whose digest is {digest}",
                f"{manifest.digest}, which the same manifest names",
                "Prepare the model again: the file was edited.",
            )
        )
    return manifest, (*manifest.parts, _model_manifest.part_of(MANIFEST, file)), problems


def _unfit(path: str, parts: tuple[ModelPart, ...]) -> list[Problem]:
    names = [part.path for part in parts]
    unfit = [
        part
        for part in parts
        if not _model_manifest.is_below(part.path)
        or not _model_manifest.is_sha256(part.sha256)
        or type(part.size) is not int
        or part.size < 0
    ]
    if GRAPH in names and len(set(names)) == len(names) and not unfit:
        return []
    return [
        Problem(
            "model-parts",
            path,
            repr(unfit[0]) if unfit else repr(names),
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
        "The digest of a model must be known at synth: without it a new model would be no new version, and nothing "
        "could be checked after the download.",
    )
