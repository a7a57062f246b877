"""Requests and responses of the Open Inference Protocol v2 with its binary tensor data extension."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from onnx_inference.infer import tensors
from onnx_inference.infer.http_client import Answer, EndpointClient, RequestFailed
from onnx_inference.infer.tensors import TensorMismatch, TensorSpec

if TYPE_CHECKING:
    from onnx_inference.infer.tensors import Array

#: Bytes of the JSON in front of the binary data.
HEADER_LENGTH = "Inference-Header-Content-Length"
#: Inputs of more bytes than this are sent as binary data unless told otherwise: JSON is larger and slower to read.
_BINARY_ABOVE_BYTES = 16_384


@dataclass(frozen=True)
class ModelMetadata:
    """What a model takes and gives."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class OutputTensor:
    """One tensor of a response."""

    name: str
    datatype: str
    array: "Array"


@dataclass(frozen=True)
class InferenceResponse:
    """A response: the model that answered, and its tensors."""

    model_name: str
    model_version: str | None
    outputs: tuple[OutputTensor, ...]

    def to_json(self) -> dict[str, Any]:
        """The response as the protocol's JSON would carry it."""
        outputs = [
            {"name": o.name, "datatype": o.datatype, "shape": list(o.array.shape), "data": tensors.to_json(o.array)}
            for o in self.outputs
        ]
        return {"model_name": self.model_name, "model_version": self.model_version, "outputs": outputs}


class Model:
    """A model behind an endpoint.

    Args:
        client: The endpoint.
        name: The model's name.
        version: Its version. Default: the server's choice.

    Attributes:
        path: The model's path in the protocol, after the endpoint's URL.
    """

    def __init__(self, client: EndpointClient, name: str, version: str | None = None) -> None:
        self._client = client
        self._metadata: ModelMetadata | None = None
        self.path = f"/v2/models/{quote(name, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")

    def metadata(self) -> ModelMetadata:
        """What the model takes and gives. The endpoint is asked once.

        Raises:
            RequestFailed: The endpoint cannot be reached, answered with an error, or with no metadata.
        """
        if self._metadata is None:
            self._metadata = self._ask_metadata()
        return self._metadata

    def _ask_metadata(self) -> ModelMetadata:
        answer = self._client.request("GET", self.path, headers={"Accept": "application/json"})
        value = _object(answer, answer.body)
        try:
            return ModelMetadata(str(value["name"]), _specs(value["inputs"]), _specs(value["outputs"]))
        except (KeyError, TypeError, ValueError) as error:
            message = f"The endpoint answered with no model metadata: {answer.body[:200]!r}"
            raise RequestFailed(message, answer) from error

    def infer(
        self,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        binary: bool | None = None,
    ) -> InferenceResponse:
        """Run the model on the given values.

        Args:
            inputs: A value for each of the model's inputs: an array or nested lists, cast to what the model takes.
            outputs: The outputs to ask for. Default: all.
            binary: Whether tensors are sent as binary data. Default: where the inputs have more than 16 KiB.

        Raises:
            TensorMismatch: The values do not fit the model.
            RequestFailed: The endpoint cannot be reached, or answered with an error.
        """
        metadata = self.metadata()
        arrays = match(inputs, metadata.inputs)
        wanted = outputs or [spec.name for spec in metadata.outputs]
        unknown = sorted(set(wanted) - {spec.name for spec in metadata.outputs})
        if unknown:
            known = ", ".join(spec.name for spec in metadata.outputs)
            raise TensorMismatch(f"The model has no output {', '.join(unknown)}. It has: {known}")
        body, headers = encode(arrays, wanted, binary=binary)
        answer = self._client.request("POST", f"{self.path}/infer", body, headers)
        return decode(answer)


def match(inputs: Mapping[str, Any], specs: Sequence[TensorSpec]) -> "list[tuple[TensorSpec, Array]]":
    """The values as arrays, in the order of the model's inputs.

    Raises:
        TensorMismatch: The values do not fit the model.
    """
    takes = ", ".join(f"{spec.name} ({spec.datatype} {list(spec.shape)})" for spec in specs)
    unknown = sorted(set(inputs) - {spec.name for spec in specs})
    missing = sorted({spec.name for spec in specs} - set(inputs))
    if unknown:
        raise TensorMismatch(f"The model has no input {', '.join(unknown)}. It takes: {takes}")
    if missing:
        raise TensorMismatch(f"No value was given for {', '.join(missing)}. The model takes: {takes}")
    return [(spec, tensors.cast(inputs[spec.name], spec)) for spec in specs]


def encode(
    arrays: "Sequence[tuple[TensorSpec, Array]]", outputs: Sequence[str], *, binary: bool | None
) -> tuple[bytes, dict[str, str]]:
    """A request's body and headers.

    Args:
        arrays: The inputs.
        outputs: The outputs to ask for; all when there are none.
        binary: Whether tensors are sent as binary data. Default: where the inputs have more than 16 KiB.
    """
    if binary is None:
        binary = sum(array.nbytes for _, array in arrays) > _BINARY_ABOVE_BYTES
    inputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for spec, array in arrays:
        member: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(array.shape)}
        if binary:
            parts.append(tensors.to_bytes(array, spec.datatype))
            member["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            member["data"] = tensors.to_json(array)
        inputs.append(member)
    asked = [{"name": name, "parameters": {"binary_data": binary}} for name in outputs]
    members: dict[str, Any] = {"inputs": inputs}
    if asked:
        members["outputs"] = asked
    elif binary:
        members["parameters"] = {"binary_data_output": True}
    document = json.dumps(members, separators=(",", ":")).encode()
    if not binary:
        return document, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(document))}
    return document + b"".join(parts), headers


def decode(answer: Answer) -> InferenceResponse:
    """Read an inference response, in JSON or with binary data.

    Raises:
        RequestFailed: It is no inference response, or has a datatype that cannot be read here.
    """
    try:
        length = int(answer.headers.get(HEADER_LENGTH.lower(), len(answer.body)))
        value, rest = _object(answer, answer.body[:length]), answer.body[length:]
        outputs, position = [], 0
        for member in value.get("outputs", ()):
            size = (member.get("parameters") or {}).get("binary_data_size")
            if size is None:
                array = tensors.from_json(member["data"], member["datatype"], member["shape"])
            else:
                array = tensors.from_bytes(rest[position : position + size], member["datatype"], member["shape"])
                position += size
            outputs.append(OutputTensor(member["name"], member["datatype"], array))
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        message = f"The endpoint's inference response cannot be read: {type(error).__name__}: {error}"
        raise RequestFailed(message, answer) from error
    return InferenceResponse(str(value.get("model_name", "")), value.get("model_version"), tuple(outputs))


def _specs(members: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(str(m["name"]), str(m["datatype"]), tuple(int(n) for n in m["shape"])) for m in members)


def _object(answer: Answer, body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RequestFailed(f"The endpoint answered with no JSON object: {body[:200]!r}", answer)
    return value
