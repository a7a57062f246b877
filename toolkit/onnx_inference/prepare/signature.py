"""What a model takes and gives, in the terms of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from .errors import Refused

# What ONNX Runtime calls the datatypes of the protocol; the same table as the handler's.
DATATYPES: Mapping[str, str] = {
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

FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output.

    Attributes:
        name: As in the model.
        datatype: Of the protocol.
        shape: Sizes; -1 is a dimension of any size. None where the model leaves even the rank open.
        axes: The model's names for its dimensions; empty strings where they have none.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    axes: tuple[str, ...]

    def to_manifest(self) -> dict[str, Any]:
        """The form that the manifest has; an open rank is written like a scalar's, as onnxruntime does."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape or ()),
            "axes": list(self.axes),
        }


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in the model's order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_signature(
    proto: ModelProto, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
) -> Signature:
    """Makes a signature of what onnxruntime says about a session.

    Args:
        proto: The model, which alone tells a scalar from a tensor of any rank.
        inputs: Name, type and shape of each input of the session.
        outputs: The same of its outputs.

    Raises:
        Refused: `model-datatype`: a type that the protocol cannot carry.
    """
    open_rank = {
        value.name
        for value in (*proto.graph.input, *proto.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    }
    return Signature(
        tuple(_tensor("input", spec, open_rank) for spec in inputs),
        tuple(_tensor("output", spec, open_rank) for spec in outputs),
    )


def _tensor(what: str, spec: Mapping[str, Any], open_rank: set[str]) -> Tensor:
    datatype = DATATYPES.get(spec["type"])
    if datatype is None:
        raise Refused(
            "model-datatype",
            f"{what.capitalize()} {spec['name']!r} is {spec['type']}, for which the Open Inference Protocol has no "
            "datatype.",
            "Export the model with plain tensors (for scikit-learn, XGBoost and LightGBM: options={'zipmap': False}).",
        )
    sizes = spec["shape"]
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in sizes)
    axes = tuple(size if isinstance(size, str) else "" for size in sizes)
    return Tensor(spec["name"], datatype, None if spec["name"] in open_rank and not shape else shape, axes)
