"""The limits on concurrency that several checks have in common."""

from __future__ import annotations

import pytest

from cdk_onnx_inference.cold_start import _concurrency


@pytest.mark.parametrize(
    ("value", "reserved", "code"),
    [
        (None, 1, None),
        (2, None, None),
        (1000, None, None),
        (5, 5, None),
        (1, None, "max-concurrency-range"),
        (1001, None, "max-concurrency-range"),
        (6, 5, "max-concurrency-over-reserved"),
    ],
)
def test_most_concurrent_invocations_by_a_queue(value: float | None, reserved: float | None, code: str | None) -> None:
    found = _concurrency.of_event_source("Queue", value, reserved)
    assert [problem.code for problem in found] == ([] if code is None else [code])
