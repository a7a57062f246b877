"""Reads the body of `POST .../infer`: JSON, or JSON followed by raw tensors (the binary tensor data extension)."""

from __future__ import annotations

from typing import Any, NamedTuple

from onnx_handler.errors import InvalidInput
from onnx_handler.models.processing import Tensors
from onnx_handler.tensors.codecs import from_json, from_raw
from onnx_handler.tensors.datatypes import raw_shape
from onnx_handler.tensors.signature import TensorSpec

from . import request_form


class InferenceRequest(NamedTuple):
    """An inference request of the protocol.

    Attributes:
        id: the client's, returned in the answer; None if there is none.
        inputs: arrays by name.
        parameters: the request's parameters, unchanged.
        outputs: names of the requested outputs, in their order; empty for all.
        binary: for each requested output, whether to send it as binary data.
        binary_by_default: the same for outputs that are not named.
    """

    id: str | None
    inputs: Tensors
    parameters: dict[str, Any]
    outputs: list[str]
    binary: dict[str, bool]
    binary_by_default: bool


def parse(body: bytes, header_length: str | None, model_inputs: tuple[TensorSpec, ...]) -> InferenceRequest:
    """Reads a request body.

    Args:
        body: decoded from base64 and any content encoding.
        header_length: the Inference-Header-Content-Length header, if there is one.
        model_inputs: the model's inputs; a body without JSON (header length 0) is the model's only input.

    Raises:
        InvalidInput: it is not such a request.
        PayloadTooLarge: it has too much JSON, or too many strings.
    """
    form = request_form.read(body, header_length)
    if form is None:
        return InferenceRequest(None, _raw_only(body, model_inputs), {}, [], {}, True)
    inputs: Tensors = {}
    for name, datatype, shape, offset, size, data in form.inputs:
        if size is None:
            inputs[name] = from_json(name, datatype, shape, data)
        else:
            inputs[name] = from_raw(name, datatype, shape, body, offset, size)
    return InferenceRequest(form.id, inputs, form.parameters, form.outputs, form.binary, form.binary_by_default)


def _raw_only(body: bytes, model_inputs: tuple[TensorSpec, ...]) -> Tensors:
    """The tensor in a body without JSON, for a model with one input (the extension's raw binary request)."""
    if len(model_inputs) != 1:
        raise InvalidInput(f"a body of raw bytes alone needs a model with one input; this one has {len(model_inputs)}")
    (spec,) = model_inputs
    shape = raw_shape(spec.name, spec.datatype, spec.shape, len(body))
    if spec.datatype == "BYTES":
        body = len(body).to_bytes(4, "little") + body
    return {spec.name: from_raw(spec.name, spec.datatype, shape, body, 0, len(body))}
