"""Reads an ONNX model without its weights, and refuses what onnxruntime could not load, with the way to mend it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto

from .errors import Refused
from .onnxruntime_support import newest_ir_version, newest_opset, onnxruntime_version, supports
from .traversal import is_external, nodes, tensors

GRAPH = "model.onnx"
_GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_PROTOBUF_LIMIT = 2**31 - 1
_OLDEST_OPSET = 7  # onnxruntime's kernels begin there: docs/Versioning.md of its repository
_COMMON_OPSET = 17  # every release since 2022 has it


@dataclass(frozen=True, slots=True)
class Weights:
    """Where an external tensor's values are.

    Attributes:
        file: On this machine.
        offset: Of the first byte.
        length: In bytes.
    """

    file: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A model that is read, and fit for onnxruntime as far as its file tells.

    Attributes:
        path: The .onnx file.
        proto: The model; tensors that are outside the file are left there.
        files: The files with weights.
    """

    path: Path
    proto: ModelProto
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of the graph and its weights."""
        return sum(file.stat().st_size for file in (self.path, *self.files))

    def opsets(self) -> dict[str, int]:
        """Operator set version by domain; the standard domain is the empty string."""
        return opsets(self.proto)

    def is_quantized(self) -> bool:
        """Whether operators on 8-bit integers, or their stand-ins, are in the graph."""
        return any(re.search("QuantizeLinear|Integer$|^QLinear", node.op_type) for node in nodes(self.proto))


def opsets(proto: ModelProto) -> dict[str, int]:
    """Operator set version by domain; the standard domain is the empty string."""
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}


def read_model(given: Path) -> OnnxModel:
    """Reads a model and checks it.

    Args:
        given: The .onnx file, or a directory that has `model.onnx`.

    Raises:
        Refused: `model-missing`, `model-git-lfs-pointer`, `model-not-onnx`, `model-weights-outside`,
            `model-weights-missing`, `model-weights-cut-off`, `model-ir-version`, `model-opset`, `model-operator` or
            `model-invalid`.
    """
    path = given / GRAPH if given.is_dir() else given
    if not path.is_file():
        raise Refused("model-missing", f"There is no file {path}.", f"Give an .onnx file or a directory with {GRAPH}.")
    proto = _parse(path)
    files = {
        weights_of(path.parent, tensor.tensor, path).file for tensor in tensors(proto) if is_external(tensor.tensor)
    }
    _check_versions(proto)
    check_structure(proto)
    return OnnxModel(path, proto, tuple(sorted(files)))


def load_proto(path: Path) -> ModelProto:
    """Reads a graph that this package's own code or onnxruntime wrote, without its weights."""
    return onnx.load_model(path, load_external_data=False)


def _parse(path: Path) -> ModelProto:
    _refuse_git_lfs_pointer(path)
    size = path.stat().st_size
    if size > _PROTOBUF_LIMIT:
        raise Refused(
            "model-not-onnx",
            f"{path} has {size / 1000**3:.1f} GB; a protobuf file cannot have more than 2.",
            "Save the model with its weights outside: onnx.save(model, path, save_as_external_data=True).",
        )
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] == b"ORTM":
        raise Refused(
            "model-not-onnx",
            f"{path} is an .ort file, onnxruntime's own format, which loads slower and takes more memory.",
            "Give the .onnx file that it was made from.",
        )
    try:
        proto = load_proto(path)
    except DecodeError:
        raise _not_onnx(path, "is cut off, or something other than an ONNX model") from None
    if not proto.HasField("graph") or proto.ir_version < 1 or (proto.ir_version >= 3 and not proto.opset_import):
        raise _not_onnx(path, "is cut off, or something other than an ONNX model: it lacks a graph or its versions")
    if not proto.graph.output:
        raise _not_onnx(path, "is cut off, or computes nothing: its graph has no outputs")
    return proto


def _not_onnx(path: Path, what: str) -> Refused:
    return Refused(
        "model-not-onnx",
        f"{path} ({path.stat().st_size} bytes) {what}.",
        "Fetch the file again and compare its size with the source's, or export the model again.",
    )


def _refuse_git_lfs_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_GIT_LFS_POINTER)) == _GIT_LFS_POINTER:
            raise Refused("model-git-lfs-pointer", f"{path} is a Git LFS pointer, not the file.", "Run: git lfs pull")


def weights_of(directory: Path, tensor: TensorProto, graph: Path | None = None) -> Weights:
    """Where an external tensor's values are, once it is sure that they are there and nowhere else.

    Args:
        directory: The model's.
        tensor: One with external data.
        graph: The .onnx file as given; where it is a link, weights may be links to beside its target.

    Raises:
        Refused: `model-weights-outside`, `model-weights-missing`, `model-weights-cut-off`, `model-git-lfs-pointer`.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    file = directory / location
    if _escapes(location) or not _is_within(file, directory, graph):
        raise Refused(
            "model-weights-outside",
            f"Tensor {tensor.name!r} has its weights at {location!r}, which leads out of the model's directory.",
            "Put the weights into the model's directory and save the model again with that place: "
            f"onnx.save(model, path, save_as_external_data=True, location='{GRAPH}.data').",
        )
    if not file.is_file():
        raise Refused(
            "model-weights-missing",
            f"Tensor {tensor.name!r} has its weights in {location!r}, and {file} is no file.",
            "Put that file beside the .onnx file: a model of this kind consists of both.",
        )
    _refuse_git_lfs_pointer(file)
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", size - offset))
    except ValueError:
        offset = length = -1
    if offset < 0 or length < 0:
        raise Refused(
            "model-not-onnx",
            f"Tensor {tensor.name!r} has an offset or a length of external data that is no size.",
            "Export the model again.",
        )
    if offset + length > size:
        raise Refused(
            "model-weights-cut-off",
            f"{file} has {size} bytes; tensor {tensor.name!r} needs {offset + length}.",
            "Fetch the file again, or export the model again: graph and weights must be of one export.",
        )
    return Weights(file, offset, length)


def _escapes(location: str) -> bool:
    path = PurePosixPath(location.replace("\\", "/"))
    return (
        not location
        or "\0" in location
        or path.is_absolute()
        or ".." in path.parts
        or re.match("[A-Za-z]:", location) is not None
    )


def _is_within(file: Path, directory: Path, graph: Path | None) -> bool:
    """Whether the file is below the directory once links are followed.

    A download cache may keep a model as links into one directory of blobs: then the weights' target is beside the
    graph's.
    """
    target = file.resolve()
    roots = [directory.resolve()] + ([graph.resolve().parent] if graph is not None else [])
    return any(target.is_relative_to(root) for root in roots)


def _check_versions(proto: ModelProto) -> None:
    versions = opsets(proto)
    if supports(proto.ir_version, versions):
        return
    release = f"onnxruntime {onnxruntime_version()}"
    newest = newest_ir_version()
    if proto.ir_version > newest:
        raise Refused(
            "model-ir-version",
            f"The model is in IR version {proto.ir_version}; {release} reads up to {newest}.",
            f"Set model.ir_version = {newest} and save it again, or export with an older onnx package.",
        )
    for domain, version in versions.items():
        newest = newest_opset(domain)
        if version > newest:
            fix = f"Export with opset {newest}"
            if not domain:
                fix += f", or convert: onnx.version_converter.convert_version(model, {newest})"
            raise Refused(
                "model-opset",
                f"The model uses operator set {domain or 'ai.onnx'} {version}; {release} has up to {newest}.",
                f"{fix}.",
            )


def check_structure(proto: ModelProto) -> None:
    """Runs the checker of the onnx package.

    It would look for external data in the current directory: the files are checked already, so a copy without them
    is shown to it.

    Raises:
        Refused: `model-operator` or `model-invalid`.
    """
    if any(is_external(found.tensor) for found in tensors(proto)):
        copy = ModelProto()
        copy.CopyFrom(proto)
        for found in tensors(copy):
            if is_external(found.tensor):
                found.tensor.ClearField("external_data")
                found.tensor.ClearField("data_location")
                found.tensor.dims[:] = [0]
        proto = copy
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        message = " ".join(str(error).split())
        if "No Op registered for" in message:
            raise unknown_operator(message) from None
        raise Refused(
            "model-invalid",
            f"The ONNX checker refuses the model: {message}",
            "Export the model again, with the newest release of the exporter that you can use.",
        ) from None


def unknown_operator(message: str, opset: int | None = None) -> Refused:
    """For an operator that onnxruntime's CPU kernels do not have.

    Args:
        message: Of who found it.
        opset: The model's version of the standard operator set, where that may be the cause.
    """
    if opset is not None and opset < _OLDEST_OPSET:
        return Refused(
            "model-opset",
            f"The model uses operator set ai.onnx {opset}; onnxruntime {onnxruntime_version()} has kernels from "
            f"{_OLDEST_OPSET} on: {message}",
            f"Export with a newer opset, or convert: onnx.version_converter.convert_version(model, {_COMMON_OPSET}).",
        )
    return Refused(
        "model-operator",
        f"The model has an operator that onnxruntime {onnxruntime_version()} cannot run on a CPU: {message}",
        "Export it without custom or GPU-only operators (for torch.onnx.export: another opset_version; for a layer of "
        "your own: write it in standard operators), or run that part in a processing file.",
    )
