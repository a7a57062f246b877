"""The Open Inference Protocol's datatypes, without numpy: names, sizes, JSON values, raw bytes.

The job API checks requests with this module alone; `codecs` makes arrays of them.
"""

from __future__ import annotations

from itertools import chain
from math import prod
from struct import Struct
from typing import Any

from onnx_handler.errors import InvalidInput

# Bytes of one element in binary data. BYTES is not here: each of its elements has its own length.
ITEM_SIZES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
    "BF16": 2,
}
DATATYPES = frozenset({*ITEM_SIZES, "BYTES"})

LENGTH = Struct("<I")  # each BYTES element is preceded by its length
# The JSON values that a datatype accepts; those not listed accept integers only.
_FRACTIONS = {int, float}
_JSON_TYPES: dict[str, set[type]] = {
    "BOOL": {bool},
    "FP16": _FRACTIONS,
    "FP32": _FRACTIONS,
    "FP64": _FRACTIONS,
    "BF16": _FRACTIONS,
    "BYTES": {str},
}
_KINDS = {
    bool: "booleans",
    int: "integers",
    float: "fractions",
    str: "strings",
    list: "arrays beside values",
    dict: "objects",
}


def unexpected_in_json(datatype: str, kinds: set[type]) -> str:
    """The names of those kinds of JSON values that a datatype does not accept; empty if it accepts all."""
    unexpected = kinds - _JSON_TYPES.get(datatype, {int})
    return ", ".join(sorted(_KINDS.get(kind, "null") for kind in unexpected)) if unexpected else ""


def leaves(data: Any) -> tuple[list[Any], list[int], set[type]]:
    """The values in nested lists, the shape of the nesting, and the types of the values.

    The types must be checked before numpy gets the values. If there is a string among numbers, numpy makes every value
    a string as long as the longest one: gigabytes, from one small request.
    """
    if type(data) is list and list not in (kinds := set(map(type, data))):
        return data, [len(data)], kinds  # flat, as most are
    level: list[Any] = [data]
    nesting: list[int] = []
    while (kinds := set(map(type, level))) == {list}:
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise ValueError("the nested lists are of different lengths")
        nesting += lengths
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    return level, nesting, kinds


def strings_in_raw(name: str, body: bytes, offset: int, size: int, count: int) -> list[bytes]:
    """The elements of a BYTES tensor in binary data, where each is preceded by its length.

    Raises:
        InvalidInput: the `size` bytes at `offset` are not exactly `count` elements.
    """
    elements: list[bytes] = []
    position, end = offset, offset + size
    while len(elements) < count:
        start = position + LENGTH.size
        if start > end:
            raise InvalidInput(
                f"input {name!r}: the binary data ends after {len(elements)} of {count} elements"
                + (", inside an element's length" if position < end else "")
            )
        position = start + LENGTH.unpack_from(body, start - LENGTH.size)[0]
        if position > end:
            raise InvalidInput(f"input {name!r}: an element's length runs past the end of the binary data")
        elements.append(body[start:position])
    if position < end:
        raise InvalidInput(f"input {name!r}: {end - position} bytes of binary data follow the last of {count} elements")
    return elements


def raw_shape(name: str, datatype: str, shape: tuple[int, ...], size: int) -> list[int]:
    """The shape of an input whose raw bytes are the whole body.

    Args:
        name: for messages.
        datatype: of the model's input. With BYTES, the body is a single string, so a dimension of any size is 1.
        shape: of the model's input; -1 is any size.
        size: bytes of the body.

    Raises:
        InvalidInput: the number of bytes does not determine the shape, or does not fit it.
    """
    if datatype == "BYTES":
        return [max(1, size) for size in shape]
    if shape.count(-1) > 1:
        raise InvalidInput(f"a body of raw bytes alone does not tell the shape {list(shape)} of {name!r}")
    fixed = ITEM_SIZES[datatype] * prod(size for size in shape if size != -1)
    if -1 in shape and (fixed == 0 or size % fixed):
        raise InvalidInput(f"{size} bytes do not fill {datatype} {list(shape)} of {name!r}")
    return [size // fixed if length == -1 else length for length in shape]
