"""A model's signature: the names, datatypes and shapes of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from onnx_handler.errors import InvalidInput, ModelUnusable

from .codecs import FROM_ONNX, Array, datatype_of
from .datatypes import DATATYPES


class TensorSpec(NamedTuple):
    """One input or output.

    Attributes:
        name: as in the model.
        datatype: one of the protocol.
        shape: sizes; -1 is a dimension of any size. Empty for a scalar and for a tensor of unknown rank, because
            onnxruntime reports both alike.
        axes: the model's names of the dimensions; an empty string for one without a name.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    axes: tuple[str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """The tensor as the protocol's model metadata shows it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def check(self, array: Array) -> None:
        """Checks an array against this specification.

        Raises:
            InvalidInput: its datatype, rank or a fixed dimension differs.
        """
        datatype = datatype_of(array)
        # BF16 is float32 in numpy.
        if datatype != self.datatype and not (self.datatype == "BF16" and datatype == "FP32"):
            raise InvalidInput(f"input {self.name!r}: datatype {datatype}; the model takes {self.datatype}")
        if not self.shape:
            return  # a scalar, or of any rank: onnxruntime itself refuses what does not fit
        shape = array.shape
        fits = len(shape) == len(self.shape)
        if fits:
            for want, got in zip(self.shape, shape):  # noqa: B905 - their lengths are equal
                if want != got and want != -1:
                    fits = False
        if not fits:
            raise InvalidInput(
                f"input {self.name!r}: shape {list(array.shape)}; the model takes {list(self.shape)}"
                + (" (-1 is any size)" if -1 in self.shape else "")
            )


def from_session(arguments: list[Any], *, declared: bool) -> tuple[TensorSpec, ...]:
    """Specifications of a session's inputs or outputs.

    Args:
        arguments: onnxruntime's NodeArg list.
        declared: the processing file declares its own tensors in place of these, so it converts them, and types
            without a datatype are allowed.

    Raises:
        ModelUnusable: the protocol has no datatype for a type, and no processing file converts it.
    """
    specs = []
    for argument in arguments:
        datatype = FROM_ONNX.get(argument.type)
        if datatype is None and not declared:
            raise ModelUnusable(
                f"{argument.name!r} is {argument.type}, which the Open Inference Protocol has no datatype for: "
                "export the model with plain tensors (for scikit-learn: options={'zipmap': False}), or declare "
                "OUTPUTS in a processing file that converts it"
            )
        shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in argument.shape or ())
        axes = tuple(size if isinstance(size, str) else "" for size in argument.shape or ())
        specs.append(TensorSpec(argument.name, datatype or argument.type, shape, axes))
    return tuple(specs)


def conflicting_axis(specs: Iterable[TensorSpec], arrays: dict[str, Array]) -> str | None:
    """The error message for two inputs that give the same named dimension different sizes; None if there are none.

    Only for a model that has failed: a model may broadcast over such a dimension, and then nothing is wrong.
    """
    sizes: dict[str, tuple[str, int]] = {}
    for spec in specs:
        for axis, size in zip(spec.axes, arrays[spec.name].shape, strict=False):
            name, first = sizes.setdefault(axis, (spec.name, size))
            if axis and size != first:
                return f"dimension {axis!r} is {first} in input {name!r} and {size} in input {spec.name!r}"
    return None


def declared(what: str, tensors: Any) -> tuple[TensorSpec, ...]:
    """Specifications that a processing file declares.

    Args:
        what: INPUTS or OUTPUTS, for messages.
        tensors: a list of {"name": ..., "datatype": ..., "shape": [...]}.

    Raises:
        ModelUnusable: the list is wrong.
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
