"""What a model takes and gives: names, datatypes and shapes."""

from __future__ import annotations

from typing import Any, NamedTuple

from .errors import InvalidInput, ModelUnusable
from .tensors import DATATYPES, FROM_ONNX, Array, datatype_of


class TensorSpec(NamedTuple):
    """One input or output. In `shape`, -1 is a dimension of any size (dynamic or named in the model)."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def metadata(self) -> dict[str, Any]:
        """The form that the protocol's model metadata has."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def check(self, array: Array) -> None:
        """Holds an array to this specification.

        Raises:
            InvalidInput: its datatype, rank or a fixed dimension differs.
        """
        datatype = datatype_of(array)
        # BF16 is float32 in numpy.
        if datatype != self.datatype and not (self.datatype == "BF16" and datatype == "FP32"):
            raise InvalidInput(f"input {self.name!r}: datatype {datatype}; the model takes {self.datatype}")
        if array.ndim != len(self.shape) or any(
            want not in (-1, got) for want, got in zip(self.shape, array.shape, strict=True)
        ):
            raise InvalidInput(
                f"input {self.name!r}: shape {list(array.shape)}; the model takes {list(self.shape)}"
                + (" (-1 is any size)" if -1 in self.shape else "")
            )


def from_session(arguments: list[Any], *, declared: bool) -> tuple[TensorSpec, ...]:
    """Specifications of a session's inputs or outputs.

    Args:
        arguments: onnxruntime's NodeArg list.
        declared: the processing file declares its own, so a type that the protocol lacks is left to it.

    Raises:
        ModelUnusable: a type that the protocol cannot carry, and nobody converts it.
    """
    specs = []
    for argument in arguments:
        datatype = FROM_ONNX.get(argument.type)
        if datatype is None and not declared:
            raise ModelUnusable(
                f"{argument.name!r} is {argument.type}, which the Open Inference Protocol has no datatype for: "
                "export the model with plain tensors (for scikit-learn: options={'zipmap': False}), or declare "
                "INPUTS or OUTPUTS in a processing file that converts it"
            )
        shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in argument.shape or ())
        specs.append(TensorSpec(argument.name, datatype or argument.type, shape))
    return tuple(specs)


def declared(what: str, tensors: Any) -> tuple[TensorSpec, ...]:
    """Specifications that a processing file declares.

    Args:
        what: INPUTS or OUTPUTS, for messages.
        tensors: a list of {"name": ..., "datatype": ..., "shape": [...]}.

    Raises:
        ModelUnusable: it is not such a list.
    """
    try:
        specs = tuple(
            TensorSpec(str(tensor["name"]), tensor["datatype"], tuple(map(int, tensor["shape"]))) for tensor in tensors
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelUnusable(
            f'{what} of the processing file is not a list of {{"name", "datatype", "shape"}}: {error!r}'
        ) from None
    for spec in specs:
        if spec.datatype not in DATATYPES:
            raise ModelUnusable(
                f"{what} of the processing file: {spec.name!r} has datatype {spec.datatype!r}; "
                f"allowed: {sorted(DATATYPES)}"
            )
    return specs
