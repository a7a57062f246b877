"""Reads and checks the form of a request body, without making arrays, and so without numpy."""

from __future__ import annotations

import json
from math import prod
from typing import Any, NamedTuple

from onnx_handler.errors import InvalidInput, PayloadTooLarge
from onnx_handler.tensors.datatypes import DATATYPES

# The header with the number of bytes at the start of the body that are JSON; raw tensors follow them.
HEADER_LENGTH = "inference-header-content-length"
# numpy's limits. Without them, the product of a very long shape would take hours.
MOST_DIMENSIONS = 64
LARGEST_DIMENSION = 2**63 - 1
# JSON takes up to forty times its length in memory, and each string some 400 bytes. Without these limits, a compressed
# request of a few kilobytes could exhaust the memory. (Lambda limits an uncompressed body to 6 MB.)
JSON_LIMIT = 16 * 1024 * 1024
MOST_STRINGS = 2**20


class InputForm(NamedTuple):
    """One input of a request, before its values are read.

    Attributes:
        name: the input's name.
        datatype: one of the protocol.
        shape: sizes, each 0 or more.
        offset: of its binary data in the body, in bytes.
        size: bytes of its binary data; None if its values are JSON.
        data: its JSON values.
    """

    name: str
    datatype: str
    shape: list[int]
    offset: int
    size: int | None
    data: Any


class RequestForm(NamedTuple):
    """A request body of the right form. For its members see `inference_request.InferenceRequest`."""

    id: str | None
    inputs: list[InputForm]
    parameters: dict[str, Any]
    outputs: list[str]
    binary: dict[str, bool]
    binary_by_default: bool


def read(body: bytes, header_length: str | None) -> RequestForm | None:
    """Reads the form of a request body.

    Args:
        body: decoded from base64 and any content encoding.
        header_length: the Inference-Header-Content-Length header, if there is one.

    Returns:
        The form; None for a body without JSON (header length 0): it is the raw tensor of the model's only input.

    Raises:
        InvalidInput: the form is wrong.
        PayloadTooLarge: it has too much JSON, or too many strings.
    """
    json_length = _json_length(header_length, len(body))
    if json_length == 0 and header_length is not None:
        return None
    document = _document(body if json_length == len(body) else body[:json_length])
    parameters = _parameters(document, "the request")
    inputs = _inputs(document, len(body), json_length)
    outputs, binary, default = _outputs(document, parameters)
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidInput(f"id is {request_id!r:.40}; a string is expected")
    return RequestForm(request_id, inputs, parameters, outputs, binary, default)


def _json_length(header: str | None, body_length: int) -> int:
    if header is None:
        return body_length
    if not (header.isascii() and header.isdigit() and len(header) < 20):
        raise InvalidInput(f"Inference-Header-Content-Length is {header!r:.40}; a number of bytes is expected")
    if int(header) > body_length:
        raise InvalidInput(f"Inference-Header-Content-Length is {header}, but the body has {body_length} bytes")
    return int(header)


def _document(text: bytes) -> dict[str, Any]:
    if len(text) > JSON_LIMIT:
        raise PayloadTooLarge(
            f"the body has {len(text)} bytes of JSON; at most {JSON_LIMIT} are read: send the tensors as binary data"
        )
    try:
        document = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"the body is a JSON {type(document).__name__}; an object is expected")
    return document


def _parameters(of: dict[str, Any], what: str) -> dict[str, Any]:
    parameters = of.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f"parameters of {what} are a {type(parameters).__name__}; an object is expected")
    if "shared_memory_region" in parameters:
        raise InvalidInput(f"parameters of {what}: shared memory cannot be reached from Lambda")
    return parameters


def _tensors(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    tensors = document.get(key)
    if not isinstance(tensors, list) or not all(
        isinstance(tensor, dict) and isinstance(tensor.get("name"), str) for tensor in tensors
    ):
        raise InvalidInput(f"{key} is not an array of objects, each with a name")
    return tensors


def _inputs(document: dict[str, Any], body_length: int, offset: int) -> list[InputForm]:
    inputs: list[InputForm] = []
    names: set[str] = set()
    strings = 0
    for tensor in _tensors(document, "inputs"):
        name = tensor["name"]
        if name in names:
            raise InvalidInput(f"input {name!r} is given twice")
        names.add(name)
        datatype, shape = tensor.get("datatype"), _shape(name, tensor.get("shape"))
        if not isinstance(datatype, str) or datatype not in DATATYPES:
            raise InvalidInput(f"input {name!r}: datatype {datatype!r:.40}; allowed: {sorted(DATATYPES)}")
        if datatype == "BYTES":
            strings += prod(shape)
            if strings > MOST_STRINGS:
                raise PayloadTooLarge(f"input {name!r} makes it {strings} strings; at most {MOST_STRINGS} are read")
        size = _parameters(tensor, f"input {name!r}").get("binary_data_size")
        if size is not None:
            left = body_length - offset
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
                raise InvalidInput(f"input {name!r}: binary_data_size is {size!r:.40}; {left} bytes are left")
        elif "data" not in tensor:
            raise InvalidInput(f"input {name!r} has neither data nor binary_data_size")
        inputs.append(InputForm(name, datatype, shape, offset, size, tensor.get("data")))
        offset += size or 0
    if offset != body_length:
        raise InvalidInput(f"{body_length - offset} bytes of binary data belong to no input")
    return inputs


def _shape(name: str, shape: Any) -> list[int]:
    # bool is a subclass of int, hence the exact type.
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size <= LARGEST_DIMENSION for size in shape):
        raise InvalidInput(f"input {name!r}: shape is {shape!r:.60}; an array of sizes, each 0 or more, is expected")
    if len(shape) > MOST_DIMENSIONS:
        raise InvalidInput(f"input {name!r}: shape has {len(shape)} dimensions; at most {MOST_DIMENSIONS} are allowed")
    return shape


def _outputs(document: dict[str, Any], parameters: dict[str, Any]) -> tuple[list[str], dict[str, bool], bool]:
    default = _flag(parameters, "binary_data_output", "the request", False)
    names: list[str] = []
    binary: dict[str, bool] = {}
    if document.get("outputs") is None:
        return names, binary, default
    for tensor in _tensors(document, "outputs"):
        name = tensor["name"]
        if name in binary:
            raise InvalidInput(f"output {name!r} is asked for twice")
        own = _parameters(tensor, f"output {name!r}")
        if own.get("classification"):
            raise InvalidInput(f"output {name!r}: the classification extension is not served; ask for the tensor")
        names.append(name)
        binary[name] = _flag(own, "binary_data", f"output {name!r}", default)
    return names, binary, default


def _flag(parameters: dict[str, Any], key: str, what: str, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"parameters of {what}: {key} is {value!r:.40}; true or false is expected")
    return value
