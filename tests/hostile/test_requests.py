"""Request bodies that are made to break something: each is a 4xx that names the problem."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hostile.conftest import Target

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
