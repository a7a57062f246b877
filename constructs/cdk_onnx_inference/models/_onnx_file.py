"""Reads what synth needs from an ONNX file, without the `onnx` package.

An ONNX file is one protobuf message, `ModelProto`. This reader decodes the few small fields that it needs and skips the
rest, so that a graph of a gigabyte costs neither memory nor time. Field numbers are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the wire format is that of
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ._signature import DATATYPES, Signature, Tensor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = 1  # TensorProto.DataLocation
_MAX_NESTING = 100  # protobuf's own default limit
_GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"

_Span = tuple[int, int]


class UnreadableOnnxFile(ValueError):
    """The file is not an ONNX model. The message is the reason, without the file's name."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ONNX file says about itself.

    Args:
        ir_version: Version of the ONNX format that the file is written in.
        opsets: Operator set version by domain; the domain of the standard operators is the empty string.
        external_data: Location -> least number of bytes that the file must have, for each file with weights. Locations
            are as the model has them: relative to its directory. They are not checked here.
        weights_in_graph: Bytes of tensors that are inside the file itself.
        signature: Inputs and outputs, or None if the Open Inference Protocol has no datatype for one of them.
    """

    ir_version: int
    opsets: dict[str, int]
    external_data: dict[str, int]
    weights_in_graph: int
    signature: Signature | None


def is_git_lfs_pointer(path: Path) -> bool:
    """Whether the file is the small text file that Git LFS leaves in place of a file that was not fetched."""
    with path.open("rb") as file:
        return file.read(len(_GIT_LFS_POINTER)) == _GIT_LFS_POINTER


def read_onnx_file(path: Path) -> OnnxFile:
    """Reads the header of an ONNX model, and where its weights are.

    Args:
        path: The file; it is mapped, not read into memory.

    Raises:
        UnreadableOnnxFile: It is empty, cut off, or not an ONNX model.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            raise UnreadableOnnxFile("the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Reader(content).model()


@dataclass(slots=True)
class _Reader:
    """One pass over a `ModelProto`. Each method takes the span of one message and knows its fields."""

    content: mmap.mmap
    external_data: dict[str, int] = field(default_factory=dict)
    weights_in_graph: int = 0
    initializers: set[str] = field(default_factory=set)
    inputs: list[Tensor | None] = field(default_factory=list)
    outputs: list[Tensor | None] = field(default_factory=list)

    def model(self) -> OnnxFile:
        if self.content[4:8] == b"ORTM":
            raise UnreadableOnnxFile("it is an .ort file, onnxruntime's own format; serve the .onnx it came from")
        ir_version = 0
        opsets: dict[str, int] = {}
        has_graph = False
        for number, value in self._fields((0, len(self.content))):
            if number == 1:
                ir_version = _number(value)
            elif number == 8:
                domain, version = self._opset(_span(value))
                opsets[domain] = max(version, opsets.get(domain, 0))
            elif number == 7:
                has_graph = True
                self._graph(_span(value), 0)
            elif number == 25:  # functions: their nodes can carry tensors too
                self._nodes(_span(value), node_field=7, depth=0)
        if not has_graph or ir_version < 1:
            raise UnreadableOnnxFile("it is not an ONNX model: it has no graph or no IR version")
        if ir_version >= 3 and not opsets:
            raise UnreadableOnnxFile("it names no operator set")
        return OnnxFile(ir_version, opsets, self.external_data, self.weights_in_graph, self._signature())

    def _opset(self, span: _Span) -> tuple[str, int]:
        domain, version = "", 0
        for number, value in self._fields(span):
            if number == 1:
                domain = self._text(_span(value))
            elif number == 2:
                version = _number(value)
        return ("" if domain == "ai.onnx" else domain), version

    def _graph(self, span: _Span, depth: int) -> None:
        for number, value in self._fields(span):
            if number == 1:
                self._node(_span(value), depth)
            elif number == 5:
                self._initializer(self._tensor(_span(value)), depth)
            elif number == 15:
                self._initializer(self._sparse_tensor(_span(value)), depth)
            elif number in (11, 12) and depth == 0:
                (self.inputs if number == 11 else self.outputs).append(self._value_info(_span(value)))

    def _signature(self) -> Signature | None:
        """Without the inputs that have an initializer: they are optional, and not among the inputs of a session."""
        inputs = [tensor for tensor in self.inputs if tensor is None or tensor.name not in self.initializers]
        known = [tensor for tensor in (*inputs, *self.outputs) if tensor is not None]
        if len(known) < len(inputs) + len(self.outputs):
            return None
        return Signature(tuple(known[: len(inputs)]), tuple(known[len(inputs) :]))

    def _initializer(self, name: str, depth: int) -> None:
        if depth == 0:
            self.initializers.add(name)

    def _value_info(self, span: _Span) -> Tensor | None:
        name, tensor_type = "", None
        for number, value in self._fields(span):
            if number == 1:
                name = self._text(_span(value))
            elif number == 2:
                tensor_type = next((_span(given) for kind, given in self._fields(_span(value)) if kind == 1), None)
        if tensor_type is None:  # a sequence, a map, optional, sparse
            return None
        datatype: str | None = None
        shape: tuple[int, ...] = ()
        for number, value in self._fields(tensor_type):
            if number == 1:
                datatype = DATATYPES.get(_number(value))
            elif number == 2:
                shape = tuple(self._dimension(_span(given)) for kind, given in self._fields(_span(value)) if kind == 1)
        return None if datatype is None else Tensor(name, datatype, shape)

    def _dimension(self, span: _Span) -> int:
        size = -1
        for number, value in self._fields(span):
            if number == 1:
                size = _number(value)
        return size if size < 1 << 63 else -1

    def _nodes(self, span: _Span, *, node_field: int, depth: int) -> None:
        for number, value in self._fields(span):
            if number == node_field:
                self._node(_span(value), depth)

    def _node(self, span: _Span, depth: int) -> None:
        if depth > _MAX_NESTING:
            raise UnreadableOnnxFile(f"its graphs are nested more than {_MAX_NESTING} deep")
        for number, value in self._fields(span):
            if number == 5:
                self._attribute(_span(value), depth)

    def _attribute(self, span: _Span, depth: int) -> None:
        for number, value in self._fields(span):
            if number in (5, 10):  # t, tensors
                self._tensor(_span(value))
            elif number in (6, 11):  # g, graphs
                self._graph(_span(value), depth + 1)
            elif number in (22, 23):  # sparse_tensor, sparse_tensors
                self._sparse_tensor(_span(value))

    def _sparse_tensor(self, span: _Span) -> str:
        name = ""
        for number, value in self._fields(span):
            if number == 1:  # values: their name is the sparse tensor's
                name = self._tensor(_span(value))
            elif number == 2:  # indices
                self._tensor(_span(value))
        return name

    def _tensor(self, span: _Span) -> str:
        name = ""
        entries: dict[str, str] = {}
        external = False
        for number, value in self._fields(span):
            if number == 13:
                key, text = self._key_value(_span(value))
                entries[key] = text
            elif number == 14:
                external = _number(value) == _EXTERNAL
            elif number == 8:
                name = self._text(_span(value))
            elif number in (4, 5, 6, 7, 9, 10, 11):  # the *_data fields
                self.weights_in_graph += value[1] - value[0] if isinstance(value, tuple) else 8
        if external:
            self._external(entries)
        return name

    def _external(self, entries: dict[str, str]) -> None:
        location = entries.get("location", "")
        try:
            end = int(entries.get("offset", "0")) + int(entries.get("length", "0"))
        except ValueError:
            raise UnreadableOnnxFile("a tensor's external data has an offset or a length that is no number") from None
        self.external_data[location] = max(end, self.external_data.get(location, 0))

    def _key_value(self, span: _Span) -> tuple[str, str]:
        key = text = ""
        for number, value in self._fields(span):
            if number == 1:
                key = self._text(_span(value))
            elif number == 2:
                text = self._text(_span(value))
        return key, text

    def _text(self, span: _Span) -> str:
        try:
            return self.content[span[0] : span[1]].decode()
        except UnicodeDecodeError:
            raise UnreadableOnnxFile("a name in it is not UTF-8") from None

    def _fields(self, span: _Span) -> Iterator[tuple[int, int | _Span]]:
        """The fields of the message in `span`: the field number, and its integer or the span of its bytes."""
        position, end = span
        while position < end:
            key, position = self._varint(position, end)
            number, wire_type = key >> 3, key & 7
            if number == 0:
                raise UnreadableOnnxFile("it is not a protobuf message")
            if wire_type == _VARINT:
                value, position = self._varint(position, end)
                yield number, value
            elif wire_type == _BYTES:
                length, position = self._varint(position, end)
                if length > end - position:
                    raise UnreadableOnnxFile("it is cut off, or not a protobuf message")
                yield number, (position, position + length)
                position += length
            elif wire_type in (_FIXED32, _FIXED64):
                size = 4 if wire_type == _FIXED32 else 8
                if size > end - position:
                    raise UnreadableOnnxFile("it is cut off, or not a protobuf message")
                yield number, (position, position + size)
                position += size
            else:  # groups, which ONNX never had
                raise UnreadableOnnxFile("it is not a protobuf message")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value = shift = 0
        content = self.content
        while position < end and shift < 70:
            byte = content[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        raise UnreadableOnnxFile("it is cut off, or not a protobuf message")


def _number(value: int | _Span) -> int:
    if isinstance(value, int):
        return value
    raise UnreadableOnnxFile("it is not an ONNX model: a field has another type than ONNX gives it")


def _span(value: int | _Span) -> _Span:
    if isinstance(value, tuple):
        return value
    raise UnreadableOnnxFile("it is not an ONNX model: a field has another type than ONNX gives it")
