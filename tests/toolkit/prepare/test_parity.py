"""How far outputs are apart, and how far they may be."""

from __future__ import annotations

from onnx_inference.prepare.parity import compare, tolerance
from tests.support import corpus


def test_parity_measures() -> None:
    scores, other = corpus.random(10, 4, seed=1), corpus.random(10, 4, seed=1)
    other[0] = other[0][::-1]
    (found,) = compare([{"y": scores}], [{"y": other}], {"y": (1e-3, 1e-4)})
    assert found.agreement == 0.9
    assert found.within == 0.9
    assert found.largest_difference > 0
    (found,) = compare([{"y": scores}], [{"y": scores[:5]}], {"y": (1e-3, 1e-4)})
    assert (found.within, found.agreement, found.largest_difference) == (0.0, 0.0, float("inf"))
    (found,) = compare([{"y": scores[:0]}], [{"y": scores[:0]}], {"y": (0, 0)})
    assert found.agreement == 1.0
    assert compare([{"y": scores * 1000}], [{"y": scores * 1000 + 0.01}], {"y": (0, 1e-4)})[0].within == 1.0


def test_tolerances() -> None:
    assert tolerance("FP32", lossy=False, rtol=None, atol=None) == (1e-3, 1e-4)
    assert tolerance("FP32", lossy=False, rtol=0.5, atol=None) == (0.5, 1e-4)
    assert tolerance("FP32", lossy=True, rtol=None, atol=None)[0] > 1e-3
    assert tolerance("INT64", lossy=True, rtol=0.5, atol=0.5) == (0.0, 0.0)
