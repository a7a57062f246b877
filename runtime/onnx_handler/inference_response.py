"""The answer to `POST .../infer`: JSON, or JSON followed by the raw tensors that the client asked to have so."""

from __future__ import annotations

from json import JSONEncoder
from typing import Any

from .errors import ModelFailed
from .events import Response
from .inference_request import InferenceRequest
from .model import Model
from .processing import Tensors
from .tensors import Array, datatype_of, to_json, to_raw

_encode = JSONEncoder(separators=(",", ":")).encode


def build(model: Model, request: InferenceRequest, outputs: Tensors) -> Response:
    """Builds the answer.

    Raises:
        InvalidInput: an output cannot be carried in the form that was asked for.
        ModelFailed: an output has a type that the protocol has no datatype for.
    """
    datatypes = model.output_datatypes
    tensors: list[dict[str, Any]] = []
    raw: list[bytes | memoryview] = []
    for name, array in outputs.items():
        datatype = _datatype(name, array, datatypes)
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if request.binary.get(name, request.binary_by_default):
            data = to_raw(array, datatype)
            tensor["parameters"] = {"binary_data_size": len(data)}
            raw.append(data)
        else:
            tensor["data"] = to_json(array, datatype)
        tensors.append(tensor)
    document: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request.id is not None:
        document["id"] = request.id
    document["outputs"] = tensors
    head = _encode(document).encode()
    if not raw:
        return Response(200, {"Content-Type": "application/json"}, head, text=True)
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Response(200, headers, b"".join((head, *raw)), text=False)


def _datatype(name: str, array: Array, declared: dict[str, str]) -> str:
    datatype = datatype_of(array)
    if datatype is None:
        raise ModelFailed(
            f"output {name!r} is numpy {array.dtype}, which the Open Inference Protocol has no datatype for"
        )
    if datatype == "FP32" and declared.get(name) == "BF16":
        return "BF16"
    return datatype
