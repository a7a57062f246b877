"""Writes the answer to `POST .../infer`: JSON, or JSON followed by the tensors that were requested as binary data."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quoted

from onnx_handler.errors import ModelFailed
from onnx_handler.models.model import Model
from onnx_handler.models.processing import Tensors
from onnx_handler.tensors.codecs import Array, datatype_of, to_json, to_raw

from .events import Response
from .inference_request import InferenceRequest


def build(model: Model, request: InferenceRequest, outputs: Tensors) -> Response:
    """Builds the answer.

    Raises:
        InvalidInput: an output cannot be sent as JSON.
        ModelFailed: the protocol has no datatype for the type of an output.
    """
    datatypes = model.output_datatypes
    tensors: list[str] = []
    raw: list[bytes | memoryview] = []
    for name, array in outputs.items():
        datatype = _datatype(name, array, datatypes)
        if request.binary.get(name, request.binary_by_default):
            data = to_raw(array, datatype)
            values = f'"parameters":{{"binary_data_size":{len(data)}}}'
            raw.append(data)
        else:
            values = f'"data":{to_json(array, datatype)}'
        shape = ",".join(map(str, array.shape))
        tensors.append(f'{{"name":{quoted(name)},"datatype":"{datatype}","shape":[{shape}],{values}}}')
    request_id = "" if request.id is None else f'"id":{quoted(request.id)},'
    head = (
        f'{{"model_name":{quoted(model.name)},"model_version":{quoted(model.version)},{request_id}'
        f'"outputs":[{",".join(tensors)}]}}'
    ).encode()
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
