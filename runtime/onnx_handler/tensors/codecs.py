"""Codecs of the Open Inference Protocol's datatypes: JSON values and raw bytes to numpy arrays and back.

In numpy, a BYTES tensor is an object array of `bytes`. A BF16 tensor is float32, because numpy has no bfloat16:
widening is exact, and narrowing rounds to nearest even, as onnxruntime's Cast does.
Sources: Open Inference Protocol v2 "Tensor Data Types"; Triton "Binary Tensor Data Extension".
"""

from __future__ import annotations

from json.encoder import JSONEncoder
from math import prod
from struct import error as struct_error
from struct import pack_into
from typing import TYPE_CHECKING, Any

import numpy as np

from onnx_handler.errors import InvalidInput

from .datatypes import LENGTH, leaves, strings_in_raw, unexpected_in_json

if TYPE_CHECKING:  # numpy.typing would be one more import at each cold start
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
# ONNX Runtime's type -> datatype. The types that are missing here have no datatype in the protocol.
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
# Bytes. The last bit of onnxruntime's sums depends on a tensor's alignment in memory. Without a fixed alignment, the
# length of a request's id would change the answer.
_ALIGNMENT = 16
# By itemsize, the `struct` formats of the narrow floats: `struct` raises where numpy would make an infinity.
_NARROW_FLOATS = {2: "e", 4: "f"}
# Enough digits to tell all values of the type apart, so nothing is lost. Python itself would write the 17 digits that a
# double needs, and take four times as long.
_DIGITS = {"FP16": "%.5g,", "FP32": "%.9g,"}
_encode = JSONEncoder(separators=(",", ":")).encode


def numpy_type(datatype: str) -> np.dtype[Any]:
    """The numpy type of a datatype other than BYTES."""
    return np.dtype(np.float32) if datatype == "BF16" else RAW_TYPES[datatype]


def datatype_of(array: Array) -> str | None:
    """The datatype of a numpy array; None if the protocol has none for it."""
    dtype = array.dtype
    datatype = _BY_NUMPY_TYPE.get(dtype)
    if datatype is None:
        return "BYTES" if dtype.kind in "OSU" else _BY_NUMPY_TYPE.get(dtype.newbyteorder("="))
    return datatype


def from_json(name: str, datatype: str, shape: list[int], data: Any) -> Array:
    """Reads a tensor's JSON `data`: flat in row-major order, nested as its shape, or a single value.

    Raises:
        InvalidInput: the values do not fit the datatype, or their number does not fit the shape.
    """
    try:
        values, nesting, kinds = leaves(data)
        if unexpected := unexpected_in_json(datatype, kinds):
            raise InvalidInput(f"input {name!r}: data holds {unexpected}; {datatype} is expected")
        array = _strings(values) if datatype == "BYTES" else _numbers(name, datatype, values)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"input {name!r}: data is not an array of {datatype}: {error}") from None
    if len(nesting) > 1 and nesting != shape:
        raise InvalidInput(f"input {name!r}: data is nested to {nesting}; its shape says {shape}")
    return _shaped(name, array, shape)


def _numbers(name: str, datatype: str, values: list[Any]) -> Array:
    dtype = numpy_type(datatype)
    if dtype.kind == "f":
        try:
            if dtype.itemsize not in _NARROW_FLOATS:
                return np.array(values, dtype)
            packed = bytearray(dtype.itemsize * len(values))
            pack_into(f"<{len(values)}{_NARROW_FLOATS[dtype.itemsize]}", packed, 0, *values)
        except (OverflowError, struct_error):  # struct_error: an integer too large for any float
            raise InvalidInput(f"input {name!r}: data holds values too large for {datatype}") from None
        return np.frombuffer(packed, dtype)
    if dtype.kind == "b" or not values:
        return np.array(values, dtype)
    limits = np.iinfo(dtype.name)
    try:
        # An older numpy wraps values that are out of range, so they go through a wide type first.
        wide = np.array(values, np.uint64 if datatype == "UINT64" and min(values) >= 0 else np.int64)
        fits = limits.min <= int(wide.min()) and int(wide.max()) <= limits.max
    except OverflowError:
        fits = False
    if not fits:
        raise InvalidInput(f"input {name!r}: data holds values outside {datatype} ({limits.min}..{limits.max})")
    return wide.astype(dtype, copy=False)


def _strings(values: list[str]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = [value.encode("utf-8", "surrogatepass") for value in values]
    return array


def from_raw(name: str, datatype: str, shape: list[int], body: bytes, offset: int, size: int) -> Array:
    """Reads a tensor's raw bytes. The array shares the body's memory if the alignment allows it.

    Args:
        name: for messages.
        datatype: one of DATATYPES.
        shape: dimensions, each >= 0.
        body: the whole request body.
        offset: of the tensor in the body, in bytes.
        size: bytes of the tensor.

    Raises:
        InvalidInput: the bytes do not fit the datatype and the shape.
    """
    if datatype == "BYTES":
        elements = strings_in_raw(name, body, offset, size, prod(shape))
        strings = np.empty(len(elements), dtype=object)
        strings[:] = elements
        return _shaped(name, strings, shape)
    dtype = RAW_TYPES[datatype]
    expected = prod(shape) * dtype.itemsize
    if size != expected:
        raise InvalidInput(f"input {name!r}: {size} bytes of binary data; {datatype} {shape} needs {expected}")
    array: Array = np.frombuffer(body, dtype, size // dtype.itemsize, offset if size else 0)
    if datatype == "BOOL" and size and array.view(np.uint8).max() > 1:
        raise InvalidInput(f"input {name!r}: a BOOL is one byte, 0 or 1; other values were sent")
    if datatype == "BF16":
        array = widened(array)
    elif offset % _ALIGNMENT and dtype.itemsize > 1:
        array = array.copy()
    return _shaped(name, array, shape)


def _shaped(name: str, array: Array, shape: list[int]) -> Array:
    if array.size != prod(shape):
        raise InvalidInput(f"input {name!r}: {array.size} values; shape {shape} holds {prod(shape)}")
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"input {name!r}: shape {shape}: {error}") from None


def to_json(array: Array, datatype: str) -> str:
    """An array's values as a JSON array, flat in row-major order.

    Raises:
        InvalidInput: a BYTES element is not UTF-8; it can only be sent as binary data.
    """
    values: list[Any] = array.ravel().tolist()
    if datatype in _DIGITS and values:
        text = (_DIGITS[datatype] * len(values)) % tuple(values)
        if "n" not in text:  # neither nan nor inf: the encoder below writes them by name
            # "-0" would be an integer, and read as 0. It cannot be the end of an exponent, which has two digits.
            text = text.replace("-0,", "-0.0,")
            return f"[{text[:-1]}]"
    if datatype != "BYTES":
        return _encode(values)
    try:
        return _encode([element if isinstance(element, str) else bytes(element).decode() for element in values])
    except UnicodeDecodeError:
        raise InvalidInput("a BYTES output is not UTF-8, which JSON cannot carry: ask for it as binary data") from None


def to_raw(array: Array, datatype: str) -> bytes | memoryview:
    """An array's raw bytes; not copied if the array is contiguous already."""
    if datatype == "BYTES":
        parts: list[bytes] = []
        for element in array.ravel().tolist():
            encoded = element.encode() if isinstance(element, str) else bytes(element)
            parts += (LENGTH.pack(len(encoded)), encoded)
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
