"""What a model takes and gives, as far as synth knows, and the file of the image that says so.

Functions of a service that do not load the model, such as the job API, check requests against this file
(`onnx_handler.signatures` reads it): a request that cannot succeed is refused before it costs a place in a queue.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SIGNATURES = "signatures.json"
"""Name of the file in the image's task root."""

DATATYPES: Mapping[int, str] = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
    16: "BF16",
}
"""TensorProto.DataType -> the datatype of the Open Inference Protocol, for those that have one."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output.

    Args:
        name: As in the model.
        datatype: Of the Open Inference Protocol.
        shape: Sizes; -1 is a dimension of any size. Empty for a scalar, and where the model leaves the rank open.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in the model's order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def of_manifest(content: Any) -> Signature | None:
    """The member `signature` of a package's manifest.

    Raises:
        KeyError, TypeError, ValueError: It is not written as `onnx-inference prepare` writes it.
    """
    if content is None:
        return None
    return Signature(_tensors(content["inputs"]), _tensors(content["outputs"]))


def as_json(models: Iterable[tuple[str, str, Signature | None]]) -> str:
    """The content of the file.

    Args:
        models: Name, version and signature of each model of the service. Without a signature, only name and version
            are written: then nobody checks more than a request's form before the model itself does.
    """
    return json.dumps({"models": [_entry(*model) for model in models]}, separators=(",", ":"))


def _entry(name: str, version: str, signature: Signature | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "version": version}
    if signature is not None:
        for member, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            entry[member] = [
                {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)} for tensor in tensors
            ]
    return entry


def _tensors(content: Any) -> tuple[Tensor, ...]:
    tensors = []
    for tensor in content:
        shape = tuple(tensor["shape"])
        if not isinstance(tensor["name"], str) or tensor["datatype"] not in DATATYPES.values():
            raise ValueError(f"tensor {tensor!r}")
        if any(type(size) is not int or size < -1 for size in shape):
            raise ValueError(f"tensor {tensor!r}")
        tensors.append(Tensor(tensor["name"], tensor["datatype"], shape))
    return tuple(tensors)
