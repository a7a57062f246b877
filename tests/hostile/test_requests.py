"""Request bodies that are made to break something: each is a 4xx that names the problem."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hostile.conftest import VAGUE, Target
from tests.hostile.memory import at_most_more_memory

FINE = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}


def with_input(**members: Any) -> dict[str, Any]:
    return {"inputs": [{**FINE, **members}]}


@pytest.mark.parametrize("datatype", [[], {}, [["FP32"]], None, 1, True, "", "fp32", "FP32\0", "\ud800"])
def test_a_datatype_that_is_none(target: Target, datatype: Any) -> None:
    assert "allowed: ['BF16'" in target.refused(with_input(datatype=datatype))[1]


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ([10**4000, 10**4000], "each 0 or more"),
        ([2**63], "each 0 or more"),
        ([0, 2**70], "each 0 or more"),
        ([2**62, 2**62], f"holds {2**124}"),
        ([9] * 300_000, "300000 dimensions; at most 64"),
        ([1] * 65, "65 dimensions; at most 64"),
        ([1] * 64, "the model takes [-1, 4]"),
        ([0, 2**62, 2**62], "shape [0, 4611686018427387904"),
        ([1e400, 4], "each 0 or more"),
        ([1.0, 4], "each 0 or more"),
        ([-1, 4], "each 0 or more"),
        ([[1], 4], "each 0 or more"),
        ("14", "each 0 or more"),
        ({"0": 1}, "each 0 or more"),
    ],
)
def test_a_shape_that_is_none(target: Target, shape: Any, says: str) -> None:
    data = [] if isinstance(shape, list) and 0 in shape else [1, 2, 3, 4][: 1 if shape == [1] * 64 else 4]
    assert says in target.refused(with_input(shape=shape, data=data))[1]
    binary = {"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": 0}}]}
    target.refused(binary)


@pytest.mark.parametrize(
    ("datatype", "data", "says"),
    [
        ("FP32", [True, 1.5, 1, 1], "data holds booleans; FP32 is expected"),
        ("FP32", [1, "2", 3, 4], "data holds strings; FP32 is expected"),
        ("FP32", [1, None, 3, 4], "data holds null; FP32 is expected"),
        ("FP32", [1, {}, 3, 4], "data holds objects; FP32 is expected"),
        ("FP32", [1, [2], 3, 4], "data holds arrays beside values; FP32 is expected"),
        ("FP32", [[1, 2], [3]], "the nested lists are of different lengths"),
        ("FP32", [[1, 2], [3, 4]], "data is nested to [2, 2]; its shape says [1, 4]"),
        ("FP32", None, "data holds null"),
        ("FP32", "1234", "data holds strings"),
        ("FP32", [10**400] * 4, "data holds values too large for FP32"),
        ("FP32", [1e39] * 4, "data holds values too large for FP32"),
        ("INT64", [True, 2, 3, 4], "data holds booleans; INT64 is expected"),
        ("INT64", [1, 2.0, 3, 4], "data holds fractions; INT64 is expected"),
        ("INT64", [2**63, 1, 1, 1], "data holds values outside INT64"),
        ("INT64", [2**63, -1, 1, 1], "data holds values outside INT64"),
        ("INT64", [10**4000, 1, 1, 1], "data holds values outside INT64"),
        ("UINT64", [2**64, 1, 1, 1], "data holds values outside UINT64"),
        ("UINT64", [2**63, 1, 1, -1], "data holds values outside UINT64"),
        ("UINT8", [2**64, 1, 1, -1], "data holds values outside UINT8"),
        ("BOOL", [True, 1, True, True], "data holds integers; BOOL is expected"),
        ("BYTES", ["a", 1, "b", "c"], "data holds integers; BYTES is expected"),
    ],
)
def test_data_of_the_wrong_kind(target: Target, datatype: str, data: Any, says: str) -> None:
    assert says in target.refused(with_input(datatype=datatype, data=data))[1]


def test_a_few_strings_among_numbers_take_no_memory(target: Target) -> None:
    # numpy, left to choose, makes every element as long as the longest: 16 GB of this.
    with at_most_more_memory(512 * 2**20):
        said = target.refused(with_input(data=["x" * 60_000, *[""] * 60_000]))[1]
    assert said == "input 'x': data holds strings; FP32 is expected"


@pytest.mark.parametrize("depth", [60, 65, 900, 985, 5000, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("place", ["id", "data", "parameters", "datatype", "shape", "outputs"])
def test_deep_nesting_anywhere(target: Target, place: str, opening: bytes, depth: int) -> None:
    deep = opening * depth + b"1" + (b"]" if opening == b"[" else b"}") * depth
    members = {"datatype": b'"FP32"', "shape": b"[1,4]", "data": b"[1,2,3,4]", "parameters": b"{}"}
    of_request = b"" if place in members else b',"%s":%s' % (place.encode(), deep)
    if place in members:
        members[place] = deep
    tensor = b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items())
    body = b'{"inputs":[{"name":"x",%s}]%s}' % (tensor, of_request)
    status, _, answer = target.request("POST", "/v2/models/model/infer", body)
    if place == "parameters" and opening != b"[":
        assert status in (200, 400)  # they are the client's own, and as deep as this Python's reader goes
    else:
        assert status == 400, answer
        assert VAGUE.encode() not in answer
    target.must_answer()
