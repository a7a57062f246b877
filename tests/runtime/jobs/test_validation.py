"""What the job API accepts, the worker accepts too: the same verdict on any request, without numpy."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from onnx_handler.errors import InferenceError
from onnx_handler.jobs import validation
from onnx_handler.jobs.validation import Signatures
from onnx_handler.protocol import inference_request, request_form
from onnx_handler.tensors.codecs import RAW_TYPES
from onnx_handler.tensors.datatypes import DATATYPES, ITEM_SIZES
from onnx_handler.tensors.signature import TensorSpec

SIZES = st.one_of(st.integers(0, 3), st.integers(0, 3), st.sampled_from([2**31, 2**62, 2**63 - 1, 2**63, -1]))
SHAPES = st.lists(SIZES, max_size=3)
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**7, 2**8, 2**15, 2**16 - 1, 2**31, 2**32, 2**63, 2**64 - 1, 2**64, -(2**63), 10**400]),
    st.sampled_from(
        [65519.99, 65520.0, 3.4028234e38, 3.4028235677973366e38, 3.5e38, 1.8e308, float("inf"), float("nan")]
    ),
    st.floats(allow_nan=True),
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.booleans(), st.text(max_size=3), st.none()),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
DATATYPE = st.sampled_from([*sorted(DATATYPES), "FP8"])


def suitable(datatype: str, count: int) -> st.SearchStrategy[Any]:
    """Values that mostly are what the datatype takes."""
    kind: st.SearchStrategy[Any] = st.integers(0, 100)
    if datatype == "BOOL":
        kind = st.booleans()
    elif datatype == "BYTES":
        kind = st.text(max_size=3)
    elif datatype in ("FP16", "FP32", "FP64", "BF16"):
        kind = NUMBERS
    return st.lists(kind, min_size=count, max_size=count)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, str | None, list[dict[str, Any]]]:
    """A body, its header, and a signature that often fits it."""
    tensors, raw, signature = [], [], []
    likely = draw(st.booleans())
    for name in "ab"[: draw(st.integers(1, 2))] if likely else draw(st.lists(st.sampled_from("abc"), max_size=2)):
        datatype = draw(st.sampled_from(sorted(DATATYPES))) if likely else draw(DATATYPE)
        shape = draw(st.lists(st.integers(0, 3), max_size=2)) if likely else draw(SHAPES)
        count = 1
        for size in shape:
            count *= size
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if draw(st.booleans()):
            small = 0 <= count <= 30
            tensor["data"] = draw(suitable(datatype, count)) if small and draw(st.integers(0, 4)) else draw(VALUES)
        else:
            length = count * ITEM_SIZES.get(datatype, 1)
            exact = 0 <= length <= 200 and draw(st.integers(0, 4)) > 0
            content = draw(st.binary(min_size=length, max_size=length) if exact else st.binary(max_size=20))
            if datatype == "BYTES" and draw(st.booleans()):
                content = b"".join(b"\1\0\0\0x" for _ in range(count if 0 <= count < 30 else 1))
            if datatype == "BOOL" and draw(st.booleans()):
                content = bytes(byte % 2 for byte in content)
            tensor["parameters"] = {"binary_data_size": len(content)}
            raw.append(content)
        tensors.append(tensor)
        declared = (
            [size if draw(st.booleans()) else -1 for size in shape if size < 2**63] if draw(st.booleans()) else []
        )
        wanted = (
            datatype if draw(st.integers(0, 3)) and datatype in DATATYPES else draw(st.sampled_from(sorted(DATATYPES)))
        )
        signature.append({"name": name, "datatype": wanted, "shape": declared})
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=32)), "0", signature[:1]
    document: dict[str, Any] = {"inputs": tensors}
    if draw(st.integers(0, 5)) == 0:
        document["outputs"] = [{"name": draw(st.sampled_from(["y", "z"]))}]
    if draw(st.integers(0, 9)) == 0:
        document["id"] = draw(st.one_of(st.text(max_size=3), st.integers()))
    head = json.dumps(document).encode()
    if draw(st.integers(0, 9)) == 0:
        return head[: draw(st.integers(0, len(head)))], None, signature
    return b"".join([head, *raw]), str(len(head)) if raw else None, signature


def accepted_by_the_api(body: bytes, header: str | None, model: dict[str, Any]) -> bool:
    try:
        validation.check(body, header, Signatures({"models": [model]}).find("m", None))
    except InferenceError:
        return False
    return True


def accepted_by_the_worker(body: bytes, header: str | None, model: dict[str, Any]) -> bool:
    specs = tuple(TensorSpec(spec["name"], spec["datatype"], tuple(spec["shape"])) for spec in model["inputs"])
    try:
        request = inference_request.parse(body, header, specs)
        if request.inputs.keys() != {spec.name for spec in specs}:
            return False
        for spec in specs:
            spec.check(request.inputs[spec.name])
    except InferenceError:
        return False
    return all(name == "y" for name in request.outputs)


@given(requests())
@example((b"", "0", [{"name": "a", "datatype": "BYTES", "shape": [0, -1]}]))
def test_the_same_verdict(request: tuple[bytes, str | None, list[dict[str, Any]]]) -> None:
    body, header, signature = request
    unique = list({spec["name"]: spec for spec in signature}.values())
    model = {"name": "m", "version": "1", "inputs": unique, "outputs": [{"name": "y"}]}
    if accepted_by_the_api(body, header, model):
        assert accepted_by_the_worker(body, header, model)
    elif accepted_by_the_worker(body, header, model):
        # Only what has no values at all and dimensions past numpy's is refused where numpy is not asked.
        form = request_form.read(body, header)
        shapes = [tensor.shape for tensor in form.inputs] if form is not None else [[0, *unique[0]["shape"]]]
        assert any(0 in shape and max(shape) >= 2**31 for shape in shapes)


@given(requests())
def test_without_a_signature_only_the_form_is_checked(request: tuple[bytes, str | None, list[dict[str, Any]]]) -> None:
    body, header, _ = request
    try:
        validation.check(body, header, None)
    except InferenceError:
        return
    if header != "0":
        inference_request.parse(body, header, ())


def test_both_verdicts_are_met() -> None:
    """A property of two refusals alone would hold for a validator that refuses everything."""
    seen = set()

    @settings(derandomize=True, max_examples=500)
    @given(requests())
    def look(request: tuple[bytes, str | None, list[dict[str, Any]]]) -> None:
        body, header, signature = request
        unique = list({spec["name"]: spec for spec in signature}.values())
        model = {"name": "m", "version": "1", "inputs": unique, "outputs": [{"name": "y"}]}
        seen.add((accepted_by_the_api(body, header, model), header is None, bool(unique)))

    look()
    assert {(True, True, True), (True, False, True), (False, True, True), (False, False, True)} <= seen


def test_sizes_are_numpys() -> None:
    assert {name: dtype.itemsize for name, dtype in RAW_TYPES.items()} == ITEM_SIZES
