"""What is chosen, given measurements."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from onnx_inference.prepare.bench import Candidate, Runs
from onnx_inference.prepare.search import Objective, choose, gains_from_threads
from tests.toolkit.prepare.measured import FUSED, MAPPED, PACKED, run

# Load ms, warm ms, anonymous MB: as measured with a 400 MB multilayer perceptron and a small CNN.
MLP = {PACKED: [run(1200, 28, 423)] * 3, MAPPED: [run(10, 29, 23)] * 3}
CNN = {PACKED: [run(105, 22, 15)] * 3, MAPPED: [run(5, 31, 11)] * 3}


@pytest.mark.parametrize(
    ("measured", "objective", "chosen"),
    [
        (MLP, "balanced", MAPPED),
        (MLP, "cold-start", MAPPED),
        (MLP, "memory", MAPPED),
        (MLP, "latency", PACKED),
        (CNN, "balanced", PACKED),
        (CNN, "latency", PACKED),
        (CNN, "cold-start", MAPPED),
    ],
)
def test_objectives(measured: Runs, objective: Objective, chosen: Candidate) -> None:
    assert choose(measured, [PACKED, MAPPED], objective) == chosen


@pytest.mark.parametrize("objective", get_args(Objective))
def test_of_equals_the_simplest_is_chosen(objective: Objective) -> None:
    measured = {
        FUSED: [run(4, 0.020, 1.5), run(5, 0.021, 1.5), run(6, 0.020, 1.5)],
        PACKED: [run(6, 0.021, 1.6), run(4.5, 0.020, 1.6), run(5, 0.022, 1.6)],
    }
    assert choose(measured, [PACKED, FUSED], objective) == PACKED


def test_a_difference_within_the_noise_is_none() -> None:
    measured = {PACKED: [run(9, 20, 5), run(9, 30, 5), run(9, 40, 5)], FUSED: [run(9, 28, 5)] * 3}
    assert choose(measured, [PACKED, FUSED], "latency") == PACKED


def test_candidates_that_failed_are_not_chosen() -> None:
    assert choose({PACKED: [run(9, 9, 9)]}, [FUSED, PACKED], "balanced") == PACKED


def test_threads_are_judged_by_the_fastest_runs() -> None:
    one, many = PACKED, replace(PACKED, threads=2)
    disturbed = [run(9, warm, 9) for warm in (60, 12, 55)]
    assert gains_from_threads({one: [run(9, 20, 9)] * 3, many: disturbed}, one, many)
    assert not gains_from_threads({one: [run(9, 20, 9)] * 3, many: [run(9, 19, 9)] * 3}, one, many)
