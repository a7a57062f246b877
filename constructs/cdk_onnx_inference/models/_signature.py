"""The inputs and outputs of a model, as far as synth knows them, and the file in the image that lists them.

Functions of a service that do not load the models, such as the job API, check requests against this file. A request
that cannot succeed is then refused before it is queued.
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
"""`TensorProto.DataType` -> datatype of the Open Inference Protocol. Types without one are left out."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output.

    Args:
        name: Its name in the model.
        datatype: Its datatype in the Open Inference Protocol.
        shape: Sizes of the dimensions; -1 is any size. Empty for a scalar, and when the model leaves the rank open.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs, in the model's order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def of_manifest(content: Any) -> Signature | None:
    """Reads the member `signature` of a package's manifest.

    Raises:
        KeyError, TypeError, ValueError: It differs from what `onnx-inference prepare` writes.
    """
    if content is None:
        return None
    return Signature(_tensors(content["inputs"]), _tensors(content["outputs"]))


def as_json(models: Iterable[tuple[str, str, Signature | None]]) -> str:
    """The content of the file.

    Args:
        models: Name, version and signature of each model of the service. A model without a signature is listed with its
            name and version only; of a request for it, only the form is checked before it is queued.
    """
    return json.dumps({"models": [_entry(*model) for model in models]}, separators=(",", ":"))


UNKNOWN = as_json([])
"""The content of the file when synth does not know all names: a request may then name any model."""


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
