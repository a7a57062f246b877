"""Open Inference Protocol datatypes: JSON values and raw bytes to numpy and back.

In numpy, a BYTES tensor is an object array of `bytes`, and a BF16 tensor is widened to float32 (numpy has no
bfloat16): widening is exact, and narrowing rounds to nearest even, as onnxruntime's own Cast does.
Sources: Open Inference Protocol v2 "Tensor Data Types"; Triton "Binary Tensor Data Extension".
"""

from __future__ import annotations

from math import prod
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InvalidInput

if TYPE_CHECKING:  # numpy.typing is one more module to import at each cold start
    import numpy.typing as npt

    Array = npt.NDArray[Any]
else:
    Array = Any

# Datatype -> the numpy type of its raw bytes, little-endian as the protocol says.
RAW_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
}
DATATYPES = frozenset({*RAW_TYPES, "BYTES"})

# What ONNX Runtime calls them. The types that are missing here have no datatype in the protocol.
FROM_ONNX = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}

_BY_NUMPY_TYPE = {raw.newbyteorder("="): name for name, raw in RAW_TYPES.items() if name != "BF16"}
# JSON number kinds (numpy's kind letters) that a datatype takes without losing anything but precision.
_JSON_KINDS = {"BOOL": "b", "FP16": "iuf", "FP32": "iuf", "FP64": "iuf", "BF16": "iuf"}
_INTEGER_KINDS = "iu"
_LENGTH = Struct("<I")  # each BYTES element is preceded by its length


def datatype_of(array: Array) -> str | None:
    """The datatype that a numpy array is sent as, or None where the protocol has none."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    return _BY_NUMPY_TYPE.get(array.dtype.newbyteorder("="))


def from_json(name: str, datatype: str, shape: list[int], data: Any) -> Array:
    """Reads a tensor's JSON `data`: flat in row-major order, or nested to its shape; a scalar may be bare.

    Raises:
        InvalidInput: the values are not of the datatype, or not as many as the shape holds.
    """
    try:
        array = _bytes_from_json(name, data) if datatype == "BYTES" else _numbers_from_json(name, datatype, data)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"input {name!r}: data is not an array of {datatype}: {error}") from None
    if array.ndim > 1 and array.shape != tuple(shape):
        raise InvalidInput(f"input {name!r}: data is nested to {list(array.shape)}; its shape says {shape}")
    return _shaped(name, array, shape)


def _numbers_from_json(name: str, datatype: str, data: Any) -> Array:
    values = np.array(data)
    allowed = _JSON_KINDS.get(datatype, _INTEGER_KINDS)
    if values.dtype.kind not in allowed and values.size:
        values = _large_integers(data, values.shape, allowed)
        if values.dtype.kind not in allowed:
            raise InvalidInput(f"input {name!r}: data holds {_kind_name(values.dtype.kind)}; {datatype} is expected")
    dtype = np.dtype(np.float32) if datatype == "BF16" else RAW_TYPES[datatype]
    if dtype.kind in _INTEGER_KINDS and values.size:
        limits = np.iinfo(dtype.name)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise InvalidInput(f"input {name!r}: data holds values outside {datatype} ({limits.min}..{limits.max})")
    if dtype.kind == "f":
        with np.errstate(over="raise"):
            try:
                return values.astype(dtype)
            except FloatingPointError:
                raise InvalidInput(f"input {name!r}: data holds values too large for {datatype}") from None
    return values.astype(dtype)


def _large_integers(data: Any, shape: tuple[int, ...], allowed: str) -> Array:
    """Integers that numpy, left to choose, makes fractions or objects of because some need all 64 bits or more."""
    flat: list[Any] = []
    _flatten(data, flat)
    if all(type(value) is int for value in flat):
        return np.array(flat, np.float64 if "f" in allowed else np.uint64).reshape(shape)
    return np.array(data)


def _kind_name(kind: str) -> str:
    names = {"b": "booleans", "i": "integers", "u": "integers", "f": "fractions", "U": "strings"}
    return names.get(kind, "values of mixed kinds, null, or integers past 64 bits")


def _bytes_from_json(name: str, data: Any) -> Array:
    flat: list[Any] = []
    depth_shape = _flatten(data, flat)
    for value in flat:
        if not isinstance(value, str):
            raise InvalidInput(f"input {name!r}: data holds {value!r:.40}; BYTES takes strings")
    array = np.empty(len(flat), dtype=object)
    array[:] = [value.encode("utf-8", "surrogatepass") for value in flat]
    return array.reshape(depth_shape)


def _flatten(data: Any, into: list[Any]) -> tuple[int, ...]:
    """Appends the leaves of nested lists and returns the shape that they are nested to."""
    if not isinstance(data, list):
        into.append(data)
        return ()
    shapes = {_flatten(item, into) for item in data}
    if len(shapes) > 1:
        raise ValueError("the nested lists are of different lengths")
    return (len(data), *(shapes.pop() if shapes else ()))


def from_raw(name: str, datatype: str, shape: list[int], body: bytes, offset: int, size: int) -> Array:
    """Reads a tensor's raw bytes. The array shares the body's memory where its alignment lets it.

    Args:
        name: for messages.
        datatype: one of DATATYPES.
        shape: dimensions, each >= 0.
        body: the whole request body.
        offset: where this tensor starts in it, in bytes.
        size: how many bytes it has.

    Raises:
        InvalidInput: the bytes are not what the datatype and the shape need.
    """
    if datatype == "BYTES":
        return _shaped(name, _bytes_from_raw(name, body, offset, size), shape)
    dtype = RAW_TYPES[datatype]
    expected = prod(shape) * dtype.itemsize
    if size != expected:
        raise InvalidInput(f"input {name!r}: {size} bytes of binary data; {datatype} {shape} needs {expected}")
    array: Array = np.frombuffer(body, dtype, size // dtype.itemsize, offset if size else 0)
    if datatype == "BOOL" and size and array.view(np.uint8).max() > 1:
        raise InvalidInput(f"input {name!r}: a BOOL is one byte, 0 or 1; other values were sent")
    if datatype == "BF16":
        array = widened(array)
    elif not array.flags.aligned:
        array = array.copy()
    return _shaped(name, array, shape)


def _bytes_from_raw(name: str, body: bytes, offset: int, size: int) -> Array:
    elements = []
    position, end = offset, offset + size
    while position < end:
        start = position + _LENGTH.size
        if start > end:
            raise InvalidInput(f"input {name!r}: the binary data ends inside an element's length")
        position = start + _LENGTH.unpack_from(body, start - _LENGTH.size)[0]
        if position > end:
            raise InvalidInput(f"input {name!r}: an element's length runs past the end of the binary data")
        elements.append(body[start:position])
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def _shaped(name: str, array: Array, shape: list[int]) -> Array:
    if array.size != prod(shape):
        raise InvalidInput(f"input {name!r}: {array.size} values; shape {shape} holds {prod(shape)}")
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"input {name!r}: shape {shape}: {error}") from None


def to_json(array: Array, datatype: str) -> list[Any]:
    """An array's values as a flat row-major list.

    Raises:
        InvalidInput: a BYTES element is not UTF-8 and can only be sent as binary data.
    """
    if datatype != "BYTES":
        values: list[Any] = array.ravel().tolist()
        return values
    try:
        return [element if isinstance(element, str) else bytes(element).decode() for element in array.ravel().tolist()]
    except UnicodeDecodeError:
        raise InvalidInput("a BYTES output is not UTF-8, which JSON cannot carry: ask for it as binary data") from None


def to_raw(array: Array, datatype: str) -> bytes | memoryview:
    """An array's raw bytes, without a copy where it is contiguous already."""
    if datatype == "BYTES":
        parts: list[bytes] = []
        for element in array.ravel().tolist():
            encoded = element.encode() if isinstance(element, str) else bytes(element)
            parts += (_LENGTH.pack(len(encoded)), encoded)
        return b"".join(parts)
    if datatype == "BF16":
        array = narrowed(array)
    contiguous = np.ascontiguousarray(array, dtype=RAW_TYPES[datatype])
    return contiguous.data.cast("B") if contiguous.size else b""


def widened(bits: Array) -> Array:
    """BF16 bit patterns (uint16) as float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrowed(values: Array) -> Array:
    """float32 rounded to BF16 bit patterns (uint16), to nearest even; a NaN stays a NaN."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    nan = np.uint16(0x7FC0)
    return np.where(np.isnan(values), nan, rounded)
