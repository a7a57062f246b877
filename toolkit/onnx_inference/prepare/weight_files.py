"""Writes a graph with its weights in one file beside it, laid out for memory mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onnx import ModelProto, TensorProto, helper, numpy_helper

from .onnx_model import opsets, weights_of
from .traversal import graphs, is_external, names_in_use, nodes, tensors

DATA = "model.onnx.data"

ALIGNMENT = 4096
"""Offsets are multiples of a memory page, so that a tensor starts where a mapping can start."""

THRESHOLD = 4096
"""Bytes from which a tensor goes outside. Below a page there is nothing to gain, and onnxruntime's shape inference
reads small tensors (shapes, axes) from the graph."""

SMALL_MODEL = 1_000_000
"""Bytes of weights up to which all stay in the graph: one file is simpler, and mapping would gain nothing."""

_CHUNK = 1 << 20
# Types whose values numpy holds as the raw data has them; the rest, where not raw already, stay in the graph.
_PLAIN = frozenset(
    {
        TensorProto.FLOAT,
        TensorProto.DOUBLE,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.INT8,
        TensorProto.INT16,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.UINT8,
        TensorProto.UINT16,
        TensorProto.UINT32,
        TensorProto.UINT64,
        TensorProto.BOOL,
    }
)


def write_model(proto: ModelProto, source: Path, graph: Path, data: Path) -> None:
    """Writes the graph and, if the weights are large enough, the file with them.

    Equal tensors are written once. The proto is changed: it becomes what is written.

    Args:
        proto: The model.
        source: The .onnx file that it was read from, which its external data is relative to.
        graph: The .onnx file to write.
        data: The file for the weights, in the same directory.
    """
    _order_by_use(proto)
    large = [found.tensor for found in tensors(proto) if found.mappable and _size(found.tensor, source) >= THRESHOLD]
    if sum(_size(tensor, source) for tensor in large) <= SMALL_MODEL:
        large = []
    outside = {id(tensor) for tensor in large}
    with data.open("wb") as file:
        writer = _Writer(file, data.name, source)
        for found in tensors(proto):
            if id(found.tensor) in outside:
                writer.put_outside(found.tensor)
            elif is_external(found.tensor):
                writer.put_inside(found.tensor)
    if not writer.size:
        data.unlink()
    graph.write_bytes(proto.SerializeToString(deterministic=True))


def strip(proto: ModelProto) -> None:
    """Removes what no session needs: notes, stack traces with paths, unused operator sets, training.

    The model's own metadata stays: it is where class labels and the like are kept.
    """
    proto.ClearField("training_info")
    for graph in graphs(proto):
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        for part in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
            part.ClearField("doc_string")
            part.ClearField("metadata_props")
    for function in proto.functions:
        function.ClearField("doc_string")
        function.ClearField("metadata_props")
    used = {""} | {function.domain for function in proto.functions}
    used |= {entry.domain for function in proto.functions for entry in function.opset_import}
    for node in nodes(proto):
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
        used.add("" if node.domain == "ai.onnx" else node.domain)
    kept = {domain: version for domain, version in opsets(proto).items() if domain in used}
    proto.ClearField("opset_import")
    proto.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(kept.items()))


def _order_by_use(proto: ModelProto) -> None:
    """Puts each graph's initialisers in the order in which its nodes use them.

    The file is then read from front to back on the first call, which is what a disk and a network are fastest at,
    and the order does not depend on how onnxruntime walked its hash tables.
    """
    for graph in graphs(proto):
        order = {name: number for number, name in reversed(list(enumerate(names_in_use(graph.node))))}
        ordered = sorted(graph.initializer, key=lambda tensor: (order.get(tensor.name, len(order)), tensor.name))
        if any(a is not b for a, b in zip(ordered, graph.initializer, strict=True)):
            by_name = [tensor.name for tensor in ordered]
            moved = {tensor.name: tensor for tensor in ordered}
            copies = [TensorProto.FromString(moved[name].SerializeToString()) for name in by_name]
            graph.ClearField("initializer")
            graph.initializer.extend(copies)


class _Writer:
    """Appends tensors to the file with the weights, and points the tensors there."""

    def __init__(self, file: BinaryIO, location: str, source: Path) -> None:
        self.size = 0
        self._file = file
        self._location = location
        self._source = source
        self._written: dict[tuple[bytes, int], int] = {}  # digest and length -> offset

    def put_outside(self, tensor: TensorProto) -> None:
        if is_external(tensor):
            weights = weights_of(self._source.parent, tensor, self._source)
            chunks, length = _read(weights.file, weights.offset, weights.length), weights.length
        else:
            if not tensor.HasField("raw_data"):
                _make_raw(tensor)
            chunks, length = iter([tensor.raw_data]), len(tensor.raw_data)
        offset = self._append(chunks, length)
        tensor.ClearField("raw_data")
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._location), ("offset", str(offset)), ("length", str(length))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    def put_inside(self, tensor: TensorProto) -> None:
        weights = weights_of(self._source.parent, tensor, self._source)
        tensor.raw_data = b"".join(_read(weights.file, weights.offset, weights.length))
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")

    def _append(self, chunks: Iterator[bytes], length: int) -> int:
        offset = -(-self.size // ALIGNMENT) * ALIGNMENT
        self._file.seek(offset)
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            self._file.write(chunk)
        key = (digest.digest(), length)
        if key in self._written:
            self._file.truncate(self.size)
            return self._written[key]
        self._written[key] = offset
        self.size = offset + length
        return offset


def _size(tensor: TensorProto, source: Path) -> int:
    """Bytes that the tensor would have outside; 0 if it cannot be there."""
    if is_external(tensor):
        return weights_of(source.parent, tensor, source).length
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    return tensor.ByteSize() if tensor.data_type in _PLAIN else 0


def _make_raw(tensor: TensorProto) -> None:
    raw = numpy_helper.to_array(tensor).tobytes()
    for field in ("float_data", "double_data", "int32_data", "int64_data", "uint64_data"):
        tensor.ClearField(field)
    tensor.raw_data = raw


def _read(file: Path, offset: int, length: int) -> Iterator[bytes]:
    with file.open("rb") as opened:
        opened.seek(offset)
        while length:
            chunk = opened.read(min(length, _CHUNK))
            if not chunk:
                raise EOFError(f"{file} became shorter while it was read")
            length -= len(chunk)
            yield chunk
