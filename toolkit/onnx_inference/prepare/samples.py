"""Sample inputs: read from a file, or made up from the signature."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from onnx_inference.datatypes import NUMPY_NAMES

from .errors import Refused
from .session_worker import Array, read_arrays
from .signature import FLOATS, Signature, Tensor
from .traversal import graphs, nodes

Feed = dict[str, Array]

NUMPY_TYPES: Mapping[str, np.dtype[Any]] = {
    **{datatype: np.dtype(name) for datatype, name in NUMPY_NAMES.items()},
    "BF16": np.dtype(np.float32),
    "BYTES": np.dtype(object),
}

MAX_BYTES = 8 * 1000**2
"""About how much made-up samples may have together: they travel in the image."""

BATCHES = (1, 3, 14, 14)
"""Rows of the made-up samples where the first dimension is open: one, a few, and enough to see a share agree."""

SINGLES = 16
"""Made-up samples where the first dimension is fixed."""

OTHER_SIZES = (16, 32, 64, 8, 128, 224, 1)
"""Tried in this order for open dimensions when the model does not run with the first choice."""

_WORDS = ("alpha", "beta", "gamma", "delta", "a longer text of several words", "", "Größe", "42")


def read_samples(path: Path, signature: Signature, *, purpose: str) -> tuple[list[Feed], list[Feed] | None]:
    """Reads an .npz file whose arrays bear the names of the model's inputs.

    An array has the shape that the model takes (one sample), or one dimension more in front (one sample each), or
    several times the fixed first dimension (split into samples). Arrays named like all the outputs are what is
    expected.

    Args:
        path: The file.
        signature: The model's.
        purpose: The option that named the file, for messages.

    Returns:
        Inputs of each sample; expected outputs of each sample, if the file has them.

    Raises:
        Refused: `samples-unfit`.
    """
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise _unfit(purpose, path, f"cannot be read: {error}") from None
    inputs = {tensor.name for tensor in signature.inputs}
    outputs = {tensor.name for tensor in signature.outputs}
    if missing := sorted(inputs - arrays.keys()):
        raise _unfit(purpose, path, f"lacks the inputs {missing}; it has {sorted(arrays)}")
    if unknown := sorted(arrays.keys() - inputs - outputs):
        raise _unfit(purpose, path, f"has {unknown}, which are names of neither inputs nor outputs of the model")
    feeds = _samples([(tensor, arrays[tensor.name]) for tensor in signature.inputs], purpose, path)
    if not outputs or not outputs <= arrays.keys():
        if given := sorted(outputs & arrays.keys()):
            raise _unfit(purpose, path, f"has the outputs {given}, but not {sorted(outputs - arrays.keys())}")
        return feeds, None
    expected = _samples([(tensor, arrays[tensor.name]) for tensor in signature.outputs], purpose, path, len(feeds))
    return feeds, expected


def _unfit(purpose: str, path: Path, what: str) -> Refused:
    return Refused(
        "samples-unfit",
        f"{purpose} {path.name} {what}.",
        "Save it with numpy.savez(file, **{input_name: array, ...}), each array in the model's datatype and shape.",
    )


def _samples(tensors: list[tuple[Tensor, Array]], purpose: str, path: Path, count: int = 0) -> list[Feed]:
    stacks: dict[str, Sequence[Array]] = {}
    for tensor, array in tensors:
        stacks[tensor.name] = [_cast(tensor, part, purpose, path) for part in _split(tensor, array, purpose, path)]
    counts = {len(stack) for stack in stacks.values()} | ({count} if count else set())
    if len(counts) != 1:
        sizes = {name: len(stack) for name, stack in stacks.items()}
        raise _unfit(purpose, path, f"has different numbers of samples: {sizes}")
    return [{name: stack[number] for name, stack in stacks.items()} for number in range(counts.pop())]


def _split(tensor: Tensor, array: Array, purpose: str, path: Path) -> list[Array]:
    shape = tensor.shape
    if shape is None or _fits(array.shape, shape):
        return [array]
    if array.ndim == len(shape) + 1 and _fits(array.shape[1:], shape) and len(array):
        return list(array)
    several = shape and len(array.shape) == len(shape) and shape[0] > 0 and len(array) and len(array) % shape[0] == 0
    if several and _fits(array.shape[1:], shape[1:]):
        return np.split(array, len(array) // shape[0])
    raise _unfit(
        purpose, path, f"has {tensor.name!r} of shape {list(array.shape)}; the model has {list(shape)} (-1 is any size)"
    )


def _fits(got: Sequence[int], want: Sequence[int]) -> bool:
    return len(got) == len(want) and all(size in (-1, actual) for size, actual in zip(want, got, strict=True))


def _cast(tensor: Tensor, array: Array, purpose: str, path: Path) -> Array:
    wanted = NUMPY_TYPES[tensor.datatype]
    if array.dtype == wanted:
        return array
    if tensor.datatype == "BYTES" or array.dtype.kind == "O":
        raise _unfit(purpose, path, f"has {tensor.name!r} as {array.dtype}; the model has {tensor.datatype}")
    cast = array.astype(wanted)
    exact = np.array_equal(cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
    if not exact and not (tensor.datatype in FLOATS and array.dtype.kind == "f"):
        raise _unfit(purpose, path, f"has {tensor.name!r} as {array.dtype}, which does not fit {tensor.datatype}")
    return cast


class SampleMaker:
    """Makes up inputs from the signature and from what the graph tells about them.

    Args:
        proto: The model, whose embedding tables bound indices and whose vocabularies give words.
        signature: Its signature.
        seed: Of the random values.
        dims: Sizes of open dimensions, by name.
    """

    def __init__(self, proto: ModelProto, signature: Signature, seed: int, dims: Mapping[str, int]) -> None:
        self._signature = signature
        self._seed = seed
        self._dims = dims
        self._bounds = _index_bounds(proto)
        self._words = _vocabulary(proto) or _WORDS
        known = {axis for tensor in signature.inputs for axis in _axis_names(tensor)}
        if unknown := sorted(dims.keys() - known):
            raise Refused(
                "dimension-unknown",
                f"--dim names {unknown}; the open dimensions of the model's inputs are {sorted(known)}.",
                "Use those names. A dimension without a name is called INPUT:NUMBER, as in x:0.",
            )

    def attempts(self) -> Iterator[tuple[str, list[Feed]]]:
        """Sets of samples, the likeliest to be what the model takes first, each with the kind of its values."""
        open_sizes = any(
            size < 0 and axis not in self._dims
            for tensor in self._signature.inputs
            for size, axis in list(zip(tensor.shape or (), _axis_names(tensor, named_only=False), strict=True))[1:]
        )
        sizes: list[int | None] = [None, *OTHER_SIZES] if open_sizes else [None]
        for kind in ("normal", "unit"):
            for size in sizes:
                for batches in (BATCHES, (1, 1, 1, 1)) if self._has_batch() else ((0,) * SINGLES,):
                    yield kind, self._make(batches, kind, size)

    def _has_batch(self) -> bool:
        return any(
            tensor.shape and tensor.shape[0] < 0 and _axis_names(tensor, named_only=False)[0] not in self._dims
            for tensor in self._signature.inputs
        )

    def _make(self, batches: Sequence[int], kind: str, size: int | None) -> list[Feed]:
        rng = np.random.default_rng(self._seed)
        feeds: list[Feed] = []
        total = 0
        for batch in batches:
            shapes = [(tensor, self._shape(tensor, batch, size)) for tensor in self._signature.inputs]
            total += sum(prod(shape) * NUMPY_TYPES[tensor.datatype].itemsize for tensor, shape in shapes)
            if len(feeds) >= 2 and total > MAX_BYTES:
                break
            feeds.append({tensor.name: self._array(tensor, shape, kind, rng) for tensor, shape in shapes})
        return feeds

    def _shape(self, tensor: Tensor, batch: int, size: int | None) -> tuple[int, ...]:
        if tensor.shape is None:
            return () if size is None else (4,)
        names = _axis_names(tensor, named_only=False)
        return tuple(
            fixed if fixed >= 0 else self._dims.get(name) or (batch if number == 0 else size or _likely_size(name))
            for number, (fixed, name) in enumerate(zip(tensor.shape, names, strict=True))
        )

    def _array(self, tensor: Tensor, shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Array:
        datatype = NUMPY_TYPES[tensor.datatype]
        if tensor.datatype == "BYTES":
            return np.asarray(rng.choice(np.array(self._words, dtype=object), shape), dtype=object)
        if tensor.datatype == "BOOL":
            return np.asarray(rng.integers(0, 2, shape)).astype(datatype)
        if tensor.datatype in FLOATS:
            values = rng.standard_normal(shape) if kind == "normal" else rng.uniform(0.05, 1.0, shape)
            return np.asarray(values).astype(datatype)
        if "mask" in tensor.name.lower():
            return np.ones(shape, datatype)
        if datatype.itemsize == 1:
            limits = np.iinfo(datatype.name)
            return np.asarray(rng.integers(limits.min, limits.max + 1, shape)).astype(datatype)
        bound = 2 if kind == "unit" or re.search("token_type|segment", tensor.name) else 10
        return np.asarray(rng.integers(0, self._bounds.get(tensor.name, bound), shape)).astype(datatype)


def _axis_names(tensor: Tensor, *, named_only: bool = True) -> list[str]:
    """Names of the dimensions, `INPUT:NUMBER` for those without; only of the open ones if `named_only`."""
    names = [axis or f"{tensor.name}:{number}" for number, axis in enumerate(tensor.axes)]
    if not named_only:
        return names
    return [name for name, size in zip(names, tensor.shape or (), strict=False) if size < 0]


def _likely_size(axis: str) -> int:
    name = axis.lower()
    if re.search("seq|len|time|token|text|step", name):
        return 32
    if re.search("height|width|^[hw]$|image|size|pixel", name):
        return 64
    return 16


def _index_bounds(proto: ModelProto) -> dict[str, int]:
    """Rows of the table that an input looks up, for inputs that are indices."""
    sizes = {tensor.name: tuple(tensor.dims) for graph in graphs(proto) for tensor in graph.initializer}
    aliases = {tensor.name: tensor.name for tensor in proto.graph.input}
    bounds: dict[str, int] = {}
    for node in proto.graph.node:
        if node.op_type in ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze") and node.input[0] in aliases:
            aliases[node.output[0]] = aliases[node.input[0]]
        elif node.op_type == "Gather" and node.input[1] in aliases and node.input[0] in sizes:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            name = aliases[node.input[1]]
            rows = sizes[node.input[0]][axis]
            bounds[name] = min(rows, bounds.get(name, rows))
    return bounds


def _vocabulary(proto: ModelProto) -> tuple[str, ...]:
    """Words that the model knows, and one that it does not."""
    words = [
        word.decode(errors="replace")
        for node in nodes(proto)
        for attribute in node.attribute
        if attribute.name in ("keys_strings", "pool_strings", "cats_strings", "string_vocabulary")
        for word in attribute.strings
    ]
    return (*dict.fromkeys(words[:1000]), "no such word") if words else ()
