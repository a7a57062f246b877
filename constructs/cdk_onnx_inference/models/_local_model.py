"""Reads a model on the machine that synthesises: its files, and whether onnxruntime can load them."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from cdk_onnx_inference._tokens import KNOWN_AT_DEPLOYMENT, is_unresolved
from cdk_onnx_inference.errors import Problem

from . import _manifest
from ._manifest import MANIFEST, Manifest
from ._onnx_file import OnnxFile, UnreadableOnnxFile, is_git_lfs_pointer, read_onnx_file
from ._onnxruntime_limits import MAX_IR_VERSION, MAX_OPSETS, ONNXRUNTIME
from ._served_model import ServedModel
from .model_source import InImage, LocalModel, OnMount

GRAPH = "model.onnx"
"""Name of the graph file in a package directory and in the image."""

MAX_BYTES = 10 * 1000**3
"""Limit of a Lambda image, uncompressed, and of `/tmp`.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


def collect(path: str, source: LocalModel) -> tuple[ServedModel | None, list[Problem]]:
    """Reads the model.

    Args:
        path: Prefix of the problems' paths: the argument that holds the source.
        source: What the user gave.

    Returns:
        The model, or None and at least one problem.
    """
    if is_unresolved(source.path):
        return None, [
            Problem(
                "model-missing",
                f"{path}.path",
                KNOWN_AT_DEPLOYMENT,
                "a path on this machine",
                "The model is read at synth: give its path as a plain string.",
            )
        ]
    given = Path(os.path.abspath(source.path))  # noqa: PTH100  resolve() would follow links away from the weights
    graph = given / GRAPH if given.is_dir() else given
    if not graph.is_file():
        return None, [
            Problem(
                "model-missing",
                f"{path}.path",
                f"{source.path!r}, where {str(graph)!r} is no file",
                f"an .onnx file, or a directory that has {GRAPH}",
                "Check the path. A relative one is relative to the current directory.",
            )
        ]
    if is_git_lfs_pointer(graph):
        return None, [_git_lfs_pointer(path, graph)]
    try:
        onnx = read_onnx_file(graph)
    except UnreadableOnnxFile as error:
        return None, [
            Problem(
                "model-not-onnx",
                f"{path}.path",
                f"{str(graph)!r}: {error}",
                "a model in the ONNX format",
                "Export the model to ONNX, or fetch the file again if it was cut off.",
            )
        ]
    files, problems = _weights(path, graph, onnx)
    problems += _versions(path, graph, onnx)
    files[GRAPH] = graph
    if problems:
        return None, problems
    hidden = [name for name in files if not _manifest.is_below(name)]
    if hidden and not isinstance(source, InImage):
        return None, [
            Problem(
                "model-parts",
                f"{path}.path",
                f"weights in {hidden[0]!r}",
                "weights in files and directories without a leading dot in their names, which the runtime reserves",
                "Save the model again with another location for its external data.",
            )
        ]
    parts = [_manifest.part_of(name, file) for name, file in sorted(files.items())]
    digest = _manifest.digest_of(parts)
    manifest = Manifest()
    if given.is_dir():
        files |= _beside_the_graph(given)
        if MANIFEST in files:
            manifest, problems = _manifest.read(f"{path}.path", files[MANIFEST])
            problems += _same_digest(path, given, digest, manifest)
            parts.append(_manifest.part_of(MANIFEST, files[MANIFEST]))
    size = sum(file.stat().st_size for file in files.values())
    if size > MAX_BYTES and not isinstance(source, OnMount):
        where = "a Lambda image, which also holds the runtime" if isinstance(source, InImage) else "Lambda's /tmp"
        problems.append(
            Problem(
                "model-too-large",
                f"{path}.path",
                f"{size / 1000**3:.1f} GB",
                f"less than the 10 GB of {where}",
                "Quantise the model, split it, or put it on a file system: ModelSource.on_efs.",
            )
        )
    if problems:
        return None, problems
    model = ServedModel(
        source=source,
        name=_name(source, given),
        digest=digest,
        files=files,
        parts=tuple(parts),
        weights_in_graph=onnx.weights_in_graph,
        anonymous_bytes=manifest.anonymous_bytes,
        load_ms=manifest.load_ms,
        signature=manifest.signature or onnx.signature,
    )
    return model, []


def _weights(path: str, graph: Path, onnx: OnnxFile) -> tuple[dict[str, Path], list[Problem]]:
    files: dict[str, Path] = {}
    problems: list[Problem] = []
    for location, size in sorted(onnx.external_data.items()):
        name = PurePosixPath(location)
        if (
            not location
            or "\0" in location
            or name.is_absolute()
            or ".." in name.parts
            or re.match("[A-Za-z]:", location)
        ):
            problems.append(
                Problem(
                    "model-weights-outside",
                    f"{path}.path",
                    f"weights at {location!r}",
                    "weights in the model's own directory or below",
                    "Save the model again with its external data beside it: "
                    "onnx.save(model, path, save_as_external_data=True, location='model.onnx.data').",
                )
            )
            continue
        file = graph.parent / name
        if not file.is_file():
            problems.append(
                Problem(
                    "model-weights-missing",
                    f"{path}.path",
                    f"no file {str(file)!r}",
                    "every file that the graph names for its weights",
                    "Put the weights beside the graph: an ONNX model of this kind is more than its .onnx file.",
                )
            )
        elif is_git_lfs_pointer(file):
            problems.append(_git_lfs_pointer(path, file))
        elif file.stat().st_size < size:
            problems.append(
                Problem(
                    "model-weights-cut-off",
                    f"{path}.path",
                    f"{str(file)!r} of {file.stat().st_size} bytes",
                    f"at least the {size} bytes that the graph reads from it",
                    "Fetch or export the file again.",
                )
            )
        elif str(name) in (GRAPH, MANIFEST):
            problems.append(
                Problem(
                    "model-file-collision",
                    f"{path}.path",
                    f"weights in a file called {name}",
                    f"another name, since {GRAPH} and {MANIFEST} are the package's own",
                    "Save the model again with another location for its external data.",
                )
            )
        else:
            files[str(name)] = file
    return files, problems


def _versions(path: str, graph: Path, onnx: OnnxFile) -> list[Problem]:
    problems: list[Problem] = []
    if onnx.ir_version > MAX_IR_VERSION:
        problems.append(
            Problem(
                "model-ir-version",
                f"{path}.path",
                f"{str(graph)!r} in IR version {onnx.ir_version}",
                f"up to {MAX_IR_VERSION}, the newest that onnxruntime {ONNXRUNTIME} reads",
                f"Set model.ir_version = {MAX_IR_VERSION} and save again, or export with an older onnx package.",
            )
        )
    for domain, version in sorted(onnx.opsets.items()):
        newest = MAX_OPSETS.get(domain)
        if newest is not None and version > newest:
            problems.append(
                Problem(
                    "model-opset",
                    f"{path}.path",
                    f"{str(graph)!r} with operator set {domain or 'ai.onnx'} {version}",
                    f"up to {newest}, the newest that onnxruntime {ONNXRUNTIME} has",
                    f"Export with opset {newest}, or convert: onnx.version_converter.convert_version(model, {newest}).",
                )
            )
    return problems


def _beside_the_graph(directory: Path) -> dict[str, Path]:
    """The rest of a package directory: its manifest and its golden samples, without hidden files."""
    found = {}
    manifest = directory / MANIFEST
    if manifest.is_file():
        found[MANIFEST] = manifest
    for file in sorted((directory / "goldens").rglob("*")):
        name = file.relative_to(directory)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = file
    return found


def _same_digest(path: str, directory: Path, digest: str, manifest: Manifest) -> list[Problem]:
    if manifest.digest is None or manifest.digest == digest:
        return []
    return [
        Problem(
            "model-digest-mismatch",
            f"{path}.path",
            f"{digest} of the files in {str(directory)!r}",
            f"{manifest.digest}, the digest in their manifest.json",
            "Fetch the package again if it was cut off or mixed up, or prepare the model again.",
        )
    ]


def _name(source: LocalModel, given: Path) -> str:
    if source.name is not None:
        return source.name
    if given.is_dir():
        return given.name
    return given.parent.name if given.name == GRAPH else given.stem


def _git_lfs_pointer(path: str, file: Path) -> Problem:
    return Problem(
        "model-git-lfs-pointer",
        f"{path}.path",
        f"{str(file)!r}, a Git LFS pointer",
        "the file that the pointer stands for",
        "Fetch it: git lfs pull.",
    )
