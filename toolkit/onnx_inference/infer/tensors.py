"""Tensors of the Open Inference Protocol: cast to what a model takes, and written and read as JSON and as bytes."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnx_inference.datatypes import NUMPY_NAMES
from onnx_inference.extras import import_from_extra

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class TensorMismatch(ValueError):
    """A given value does not fit what the model takes."""


@dataclass(frozen=True)
class TensorSpec:
    """What a model's metadata says of one tensor; -1 in the shape is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def numpy() -> Any:
    """The numpy module, which the extra `infer` brings."""
    return import_from_extra("numpy", "infer")


def cast(value: object, spec: TensorSpec) -> "Array":
    """A value as an array of the datatype and shape that the model takes.

    Args:
        value: An array, or nested lists.
        spec: What the model takes.

    Raises:
        TensorMismatch: It does not fit. The message says what was given, and what the model takes.
    """
    np = numpy()
    if spec.datatype == "BYTES":
        array = np.asarray(value, dtype=object)
        if not all(isinstance(item, str | bytes) for item in array.ravel()):
            raise TensorMismatch(f"{spec.name}: the model takes text (BYTES), and not all given values are strings")
    else:
        array = _cast_numbers(value, spec)
    fits = len(array.shape) == len(spec.shape) and all(
        want in (-1, have) for want, have in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        hint = ""
        if len(array.shape) == len(spec.shape) - 1 and spec.shape[0] in (-1, 1):
            hint = " (the first dimension is the batch: put the value into a list of one)"
        raise TensorMismatch(f"{spec.name}: the shape is {list(array.shape)}, the model takes {list(spec.shape)}{hint}")
    return array  # type: ignore[no-any-return]


def _cast_numbers(value: object, spec: TensorSpec) -> Any:
    np = numpy()
    if spec.datatype not in NUMPY_NAMES:
        raise TensorMismatch(f"{spec.name}: tensors of the datatype {spec.datatype} cannot be sent from here")
    wanted = _numpy_type(spec.datatype)
    try:
        array = np.asarray(value)
    except ValueError:
        raise TensorMismatch(f"{spec.name}: the nested lists are not of equal length") from None
    if array.dtype == object or not np.can_cast(array.dtype, wanted, casting="same_kind"):
        whole = array.dtype != object and array.dtype.kind in "iu" and wanted.kind in "iu"
        if not whole:
            raise TensorMismatch(f"{spec.name}: values of {array.dtype} given, the model takes {spec.datatype}")
    if wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise TensorMismatch(f"{spec.name}: values are outside the range of {spec.datatype}")
    return array.astype(wanted)


def as_tensor(name: str, value: object) -> "tuple[TensorSpec, Array]":
    """A value as an input of a model whose signature is not known: arrays keep their datatype, lists get the usual one.

    Args:
        name: The input's name.
        value: An array; or nested lists, which become FP32, INT64, BOOL or BYTES.

    Raises:
        TensorMismatch: The protocol has no datatype for the value, or the lists are not of equal length.
    """
    np = numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise TensorMismatch(f"{name}: the nested lists are not of equal length") from None
    if array.dtype.kind in "UO":
        spec = TensorSpec(name, "BYTES", tuple(array.shape))
    else:
        if not isinstance(value, np.ndarray | np.generic) and array.dtype == np.float64:
            array = array.astype(np.float32)
        found = next((one for one, numpy_name in NUMPY_NAMES.items() if array.dtype == np.dtype(numpy_name)), None)
        if found is None:
            raise TensorMismatch(f"{name}: arrays of {array.dtype} cannot be sent")
        spec = TensorSpec(name, found, tuple(array.shape))
    return spec, cast(array, spec)


def to_json(array: "Array") -> list[Any]:
    """The elements in row-major order, as the protocol's JSON carries them."""
    return [item.decode() if isinstance(item, bytes) else item for item in array.ravel().tolist()]


def to_bytes(array: "Array", datatype: str) -> bytes:
    """The elements in row-major order, little-endian; text with its length before it."""
    if datatype != "BYTES":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    items = (item.encode() if isinstance(item, str) else bytes(item) for item in array.ravel())
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def from_json(data: Any, datatype: str, shape: Sequence[int]) -> "Array":
    """The tensor of a response's JSON member `data`.

    Raises:
        ValueError: The datatype cannot be read here, or the data does not fit datatype and shape.
    """
    np = numpy()
    dtype = object if datatype == "BYTES" else _numpy_type(datatype)
    array: Array = np.array(data, dtype=dtype).reshape(tuple(shape))
    return array


def from_bytes(raw: bytes, datatype: str, shape: Sequence[int]) -> "Array":
    """The tensor of a response's binary part.

    Raises:
        ValueError: The datatype cannot be read here, or the bytes do not fit datatype and shape.
    """
    np = numpy()
    if datatype != "BYTES":
        plain: Array = np.frombuffer(raw, dtype=_numpy_type(datatype).newbyteorder("<"))
        return plain.reshape(tuple(shape))
    items, position = [], 0
    while position < len(raw):
        (length,) = struct.unpack_from("<I", raw, position)
        items.append(raw[position + 4 : position + 4 + length].decode(errors="replace"))
        position += 4 + length
    array: Array = np.array(items, dtype=object).reshape(tuple(shape))
    return array


def _numpy_type(datatype: str) -> Any:
    if datatype not in NUMPY_NAMES:
        raise ValueError(f"tensors of the datatype {datatype} cannot be read here")
    return numpy().dtype(NUMPY_NAMES[datatype])
