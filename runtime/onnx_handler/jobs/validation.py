"""Checks a request before it is queued, without numpy and onnxruntime.

If the model's signature is known, a request that passes here is also accepted by the worker; a property test compares
the two. The signature is not known if a processing file converts the inputs; then only the form is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite, prod
from typing import Any, NamedTuple

from onnx_handler.errors import InvalidInput, NotFound
from onnx_handler.protocol.request_form import InputForm, read
from onnx_handler.tensors.datatypes import ITEM_SIZES, leaves, raw_shape, strings_in_raw, unexpected_in_json

from .settings import JobsMisconfigured

# From here on a value rounds to infinity in its datatype: the largest finite number, and half a step.
_FLOAT_LIMITS = {"FP16": 65520.0, "FP32": 3.4028235677973366e38, "BF16": 3.4028235677973366e38}
# numpy counts the bytes of an array in a signed 64-bit integer, and does not count empty dimensions.
_LARGEST_TENSOR = 2**63 - 1


class Tensor(NamedTuple):
    """An input or output in a signature. In its shape, -1 is a dimension of any size; [] is any shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Signature(NamedTuple):
    """A model's signature; `inputs` or `outputs` is None if they are not known."""

    name: str
    version: str
    inputs: dict[str, Tensor] | None
    outputs: frozenset[str] | None


class Signatures:
    """The signatures of a service's models.

    Args:
        document: of signatures.json; None if nothing is known: then every model name is accepted.

    Raises:
        JobsMisconfigured: the document is wrong.
    """

    def __init__(self, document: Any) -> None:
        self._known: dict[tuple[str, str | None], Signature] | None = None
        if document is None:
            return
        try:
            every = [_signature(model) for model in document["models"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JobsMisconfigured(f"the models' signatures are not what they should be: {error!r}") from None
        self._known = {}
        for signature in sorted(every, key=lambda one: int(one.version) if one.version.isdecimal() else -1):
            self._known[signature.name, signature.version] = self._known[signature.name, None] = signature

    @classmethod
    def load(cls, path: str | None) -> Signatures:
        """Reads signatures.json.

        Raises:
            JobsMisconfigured: the file cannot be read, or is wrong.
        """
        if path is None:
            return cls(None)
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not worth its import here
                return cls(json.load(file))
        except (OSError, ValueError) as error:
            raise JobsMisconfigured(f"the models' signatures {path!r} cannot be read: {error}") from None

    def find(self, name: str, version: str | None) -> Signature | None:
        """A model's signature; None if no signatures are known.

        Raises:
            NotFound: the service has no such model.
        """
        if self._known is None:
            return None
        try:
            return self._known[name, version]
        except KeyError:
            names = sorted({f"{name} version {version}" for name, version in self._known if version is not None})
            what = repr(name) if version is None else f"{name!r} version {version!r}"
            raise NotFound(f"Request for unknown model: {what} is not found; this service has {names}") from None


def check(body: bytes, header_length: str | None, signature: Signature | None) -> None:
    """Checks a request.

    Args:
        body: decoded from base64 and any content encoding.
        header_length: the Inference-Header-Content-Length header, if there is one.
        signature: of the model; if it has no inputs, only the form is checked.

    Raises:
        InvalidInput: the worker would not accept it.
        PayloadTooLarge: it has too much JSON, or too many strings.
    """
    form = read(body, header_length)
    expected = signature.inputs if signature is not None else None
    if form is None:
        if expected is not None:
            _check_raw_only(body, expected)
        return
    for tensor in form.inputs:
        _check_values(tensor, body)
    if expected is not None:
        _check_inputs(form.inputs, expected)
    available = signature.outputs if signature is not None else None
    for name in form.outputs if available is not None else ():
        if name not in (available or ()):
            raise InvalidInput(f"output {name!r} is not one of the model's: {sorted(available or ())}")


def _signature(model: Mapping[str, Any]) -> Signature:
    inputs, outputs = model.get("inputs"), model.get("outputs")
    return Signature(
        str(model["name"]),
        str(model["version"]),
        None if inputs is None else {tensor["name"]: _tensor(tensor) for tensor in inputs},
        None if outputs is None else frozenset(tensor["name"] for tensor in outputs),
    )


def _tensor(tensor: Mapping[str, Any]) -> Tensor:
    return Tensor(str(tensor["name"]), str(tensor["datatype"]), tuple(map(int, tensor["shape"])))


def _check_raw_only(body: bytes, expected: dict[str, Tensor]) -> None:
    if len(expected) != 1:
        raise InvalidInput(f"a body of raw bytes alone needs a model with one input; this one has {len(expected)}")
    (tensor,) = expected.values()
    shape = raw_shape(tensor.name, tensor.datatype, tensor.shape, len(body))
    if tensor.datatype == "BYTES":
        body = len(body).to_bytes(4, "little") + body
    given = InputForm(tensor.name, tensor.datatype, shape, 0, len(body), None)
    _check_values(given, body)
    _check_inputs([given], expected)


def _check_inputs(given: list[InputForm], expected: dict[str, Tensor]) -> None:
    names = {tensor.name for tensor in given}
    wrong = [f"input {name!r} is not one of the model's: {sorted(expected)}" for name in sorted(names - set(expected))]
    wrong = wrong[:3] + [f"input {name!r} is missing" for name in sorted(expected.keys() - names)]
    if wrong:
        raise InvalidInput("; ".join(wrong))
    for tensor in given:
        want = expected[tensor.name]
        if _as_array(tensor.datatype) != _as_array(want.datatype):
            raise InvalidInput(f"input {tensor.name!r}: datatype {tensor.datatype}; the model takes {want.datatype}")
        if want.shape and (
            len(tensor.shape) != len(want.shape)
            or any(size not in (-1, got) for size, got in zip(want.shape, tensor.shape, strict=True))
        ):
            raise InvalidInput(
                f"input {tensor.name!r}: shape {tensor.shape}; the model takes {list(want.shape)}"
                + (" (-1 is any size)" if -1 in want.shape else "")
            )


def _as_array(datatype: str) -> str:
    return "FP32" if datatype == "BF16" else datatype  # BF16 is read as FP32


def _check_values(tensor: InputForm, body: bytes) -> None:
    name, datatype, shape, offset, size, data = tensor
    count = prod(shape)
    if prod(size or 1 for size in shape) * max(4, ITEM_SIZES.get(datatype, 8)) > _LARGEST_TENSOR:
        raise InvalidInput(f"input {name!r}: shape {shape}: it is too large")
    if size is None:
        _check_json(name, datatype, shape, data)
    elif datatype == "BYTES":
        strings_in_raw(name, body, offset, size, count)
    elif size != count * ITEM_SIZES[datatype]:
        needed = count * ITEM_SIZES[datatype]
        raise InvalidInput(f"input {name!r}: {size} bytes of binary data; {datatype} {shape} needs {needed}")
    elif datatype == "BOOL" and max(body[offset : offset + size], default=0) > 1:
        raise InvalidInput(f"input {name!r}: a BOOL is one byte, 0 or 1; other values were sent")


def _check_json(name: str, datatype: str, shape: list[int], data: Any) -> None:
    try:
        values, nesting, kinds = leaves(data)
    except ValueError as error:
        raise InvalidInput(f"input {name!r}: data is not an array of {datatype}: {error}") from None
    if unexpected := unexpected_in_json(datatype, kinds):
        raise InvalidInput(f"input {name!r}: data holds {unexpected}; {datatype} is expected")
    if len(nesting) > 1 and nesting != shape:
        raise InvalidInput(f"input {name!r}: data is nested to {nesting}; its shape says {shape}")
    if len(values) != prod(shape):
        raise InvalidInput(f"input {name!r}: {len(values)} values; shape {shape} holds {prod(shape)}")
    if not values or datatype in ("BOOL", "BYTES"):
        return
    if datatype in ("FP16", "FP32", "FP64", "BF16"):
        limit = _FLOAT_LIMITS.get(datatype, float("inf"))
        try:
            too_large = any(isfinite(value := float(number)) and abs(value) >= limit for number in values)
        except OverflowError:  # an integer past every float
            too_large = True
        if too_large:
            raise InvalidInput(f"input {name!r}: data holds values too large for {datatype}")
        return
    bits = 8 * ITEM_SIZES[datatype]
    low, high = (0, 2**bits - 1) if datatype[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if min(values) < low or max(values) > high:
        raise InvalidInput(f"input {name!r}: data holds values outside {datatype} ({low}..{high})")
