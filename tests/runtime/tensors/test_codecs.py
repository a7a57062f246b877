"""Codecs: what goes through JSON or raw bytes comes back the same, and nothing is bent to fit."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnx_handler.errors import InvalidInput
from onnx_handler.tensors.codecs import RAW_TYPES, datatype_of, from_json, from_raw, narrowed, to_json, to_raw, widened
from onnx_handler.tensors.datatypes import DATATYPES

NUMERIC = sorted(RAW_TYPES.keys() - {"BF16"})
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, Any]:
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    shape = draw(SHAPES)
    if datatype == "BYTES":
        size = int(np.prod(shape))
        texts = draw(st.lists(st.text(), min_size=size, max_size=size))
        array = np.empty(size, dtype=object)
        array[:] = [text.encode("utf-8", "surrogatepass") for text in texts]
        return datatype, array.reshape(shape)
    if datatype == "BF16":
        return datatype, widened(draw(hnp.arrays(np.uint16, shape)))
    return datatype, draw(hnp.arrays(RAW_TYPES[datatype], shape))


def same(left: Any, right: Any) -> bool:
    if left.shape != right.shape or left.dtype.kind != right.dtype.kind:
        return False
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f"))


@given(arrays(), st.integers(0, 9))
def test_raw_round_trip_at_any_offset(typed: tuple[str, Any], offset: int) -> None:
    datatype, array = typed
    raw = bytes(to_raw(array, datatype))
    body = b"x" * offset + raw + b"tail"
    back = from_raw("x", datatype, list(array.shape), body, offset, len(raw))
    assert same(back, array)
    assert back.flags.aligned


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT64"])
def test_numbers_lie_where_onnxruntime_always_rounds_alike(datatype: str) -> None:
    raw = bytes(RAW_TYPES[datatype].itemsize * 100)
    for offset in range(33):
        array = from_raw("x", datatype, [100], b"x" * offset + raw, offset, len(raw))
        assert array.ctypes.data % 16 == 0


@given(arrays())
def test_json_round_trip(typed: tuple[str, Any]) -> None:
    datatype, array = typed
    try:
        flat = to_json(array, datatype)
    except InvalidInput:
        assert datatype == "BYTES"  # a lone surrogate is no UTF-8
        return
    back = from_json("x", datatype, list(array.shape), json.loads(flat))
    assert same(back, array)


@given(arrays())
def test_nested_json_is_read_as_flat_json_is(typed: tuple[str, Any]) -> None:
    datatype, array = typed
    if datatype == "BYTES" or 0 in array.shape:
        return
    assert same(from_json("x", datatype, list(array.shape), array.tolist()), array)


@given(st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(0, 2**70), max_size=4), st.binary(max_size=64))
def test_raw_bytes_of_any_kind_are_read_or_refused(datatype: str, shape: list[int], body: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        from_raw("x", datatype, shape, body, 0, len(body))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@given(st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(0, 4), max_size=3), JSON_VALUES)
def test_json_of_any_kind_is_read_or_refused(datatype: str, shape: list[int], data: Any) -> None:
    try:
        array = from_json("x", datatype, shape, data)
    except InvalidInput:
        pass
    else:
        assert array.shape == tuple(shape)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT64", [1.5]),
        ("INT64", ["1"]),
        ("INT64", [True]),
        ("INT64", [2**63]),
        ("UINT64", [-1]),
        ("UINT8", [256]),
        ("INT8", [-129]),
        ("BOOL", [1]),
        ("FP32", ["1.5"]),
        ("FP32", [1e39]),
        ("FP16", [1e6]),
        ("FP32", [None]),
        ("FP32", [True]),
        ("BYTES", [1]),
        ("BYTES", [None]),
        ("FP32", [[1, 2], [3]]),
        ("FP32", {"a": 1}),
        ("FP32", [1, 2]),
        ("FP32", []),
    ],
)
def test_values_are_never_bent_to_fit(datatype: str, data: Any) -> None:
    with pytest.raises(InvalidInput, match="'x'"):
        from_json("x", datatype, [1], data)


def test_a_nesting_that_contradicts_the_shape() -> None:
    with pytest.raises(InvalidInput, match=r"nested to \[1, 2\]"):
        from_json("x", "FP32", [2, 1], [[1, 2]])


def test_a_bare_scalar() -> None:
    assert from_json("x", "FP32", [], 3).shape == ()
    assert from_json("x", "BYTES", [], "three").item() == b"three"


@pytest.mark.parametrize("body", [b"\x01\x00", b"\x05\x00\x00\x00abc", b"\x00\x00\x00\x00\x01"])
def test_broken_framing_of_strings(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_raw("x", "BYTES", [1], body, 0, len(body))


def test_a_boolean_is_zero_or_one() -> None:
    with pytest.raises(InvalidInput, match="0 or 1"):
        from_raw("x", "BOOL", [2], b"\x01\x02", 0, 2)


@given(st.floats(width=32))
def test_narrowing_rounds_to_nearest_even(value: float) -> None:
    import ml_dtypes

    ours = int(narrowed(np.array([value], np.float32))[0])
    theirs = int(np.array([value], np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)[0])
    if np.isnan(value):
        assert np.isnan(widened(np.array([ours], np.uint16)))[0]
    else:
        assert ours == theirs


@pytest.mark.parametrize("datatype", NUMERIC)
def test_datatypes_of_numpy(datatype: str) -> None:
    assert datatype_of(np.zeros(1, RAW_TYPES[datatype])) == datatype
    assert datatype_of(np.zeros(1, RAW_TYPES[datatype].newbyteorder(">"))) == datatype


def test_numpy_types_without_a_datatype() -> None:
    assert datatype_of(np.zeros(1, np.complex64)) is None
    assert datatype_of(np.array(["text"])) == "BYTES"


def test_strings_of_numpys_own_kind_are_sent() -> None:
    assert json.loads(to_json(np.array(["é", "b"]), "BYTES")) == ["é", "b"]
    assert to_raw(np.array([b"a"]), "BYTES") == b"\x01\x00\x00\x00a"


@pytest.mark.parametrize("datatype", ["FP16", "FP32"])
def test_short_decimals_lose_nothing(datatype: str) -> None:
    dtype = RAW_TYPES[datatype]
    bits = np.random.default_rng(1).integers(0, 256, 200_000 * dtype.itemsize, dtype=np.uint8)
    values = bits.view(dtype)
    values = values[np.isfinite(values)]
    edges = np.array([0.0, -0.0, 0.1, np.finfo(dtype).max, np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal])
    values = np.concatenate([values, edges.astype(dtype), -edges.astype(dtype)])
    back = from_json("x", datatype, [values.size], json.loads(to_json(values, datatype)))
    assert back.tobytes() == values.tobytes()  # the sign of zero too
    assert back.ctypes.data % 16 == 0


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "BF16"])
@pytest.mark.parametrize("values", [[-0.0], [1.0, -0.0], [-0.0, -0.0], [1e-10, -1e-10, 1e-05], [10.0, -10.0], [2e4]])
def test_zeros_keep_their_sign_and_nothing_else_gets_one(datatype: str, values: list[float]) -> None:
    array = np.array(values, np.float32 if datatype == "BF16" else RAW_TYPES[datatype])
    back = from_json("x", datatype, [array.size], json.loads(to_json(array, datatype)))
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_what_is_no_number_keeps_its_name(datatype: str) -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1.5, -0.0], RAW_TYPES[datatype])
    assert to_json(array, datatype) == "[NaN,Infinity,-Infinity,1.5,-0.0]"


def test_what_is_read_from_json_can_be_written_to() -> None:
    array = from_json("x", "FP32", [2], [1, 2.5])
    array += 1
    assert array.tolist() == [2.0, 3.5]
