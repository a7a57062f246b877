"""What is chosen, given measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onnx_inference.prepare import search
from onnx_inference.prepare.parity import compare, tolerance
from onnx_inference.prepare.search import (
    Bench,
    Candidate,
    Measurement,
    Runs,
    choose,
    gains_from_threads,
    promising,
    thread_count,
)
from onnx_inference.prepare.session_options import DISABLE_PREPACKING, SessionOptions
from onnx_inference.prepare.session_process import SessionFailed, SessionRun
from tests.support import corpus

PACKED = Candidate(Path("g"), "basic", SessionOptions(), 1)
MAPPED = replace(PACKED, session=SessionOptions(config=((DISABLE_PREPACKING, "1"),)))
FUSED = replace(PACKED, graph=Path("e"), label="extended")


def run(load: float, warm: float, anonymous: float, first: float = 0.0) -> SessionRun:
    return SessionRun([], [], load / 1e3, (first or warm) / 1e3, warm / 1e3, int(anonymous * 1e6))


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
def test_objectives(measured: Runs, objective: search.Objective, chosen: Candidate) -> None:
    assert choose(measured, [PACKED, MAPPED], objective) == chosen


@pytest.mark.parametrize("objective", search.OBJECTIVES)
def test_of_equals_the_simplest_is_chosen(objective: search.Objective) -> None:
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


def measured_by(monkeypatch: pytest.MonkeyPatch, runs: dict[Path, SessionRun]) -> list[Path]:
    order = []

    def run_session(graph: Path, session: SessionOptions, **_: object) -> SessionRun:
        order.append(graph)
        if graph not in runs:
            raise SessionFailed("load", "no kernel")
        return runs[graph]

    monkeypatch.setattr(search, "run_session", run_session)
    return order


def candidates(*names: str) -> list[Candidate]:
    return [replace(PACKED, graph=Path(name)) for name in names]


def test_rounds_are_interleaved_and_the_hopeless_and_the_broken_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    order = measured_by(
        monkeypatch, {Path("a"): run(10, 100, 1), Path("b"): run(10, 120, 1), Path("slow"): run(10, 900, 1)}
    )
    ticks: list[None] = []
    first, slow, second, broken = candidates("a", "slow", "b", "broken")
    runs = Bench(Path("x.npz"), 3).measure(
        [first, slow, second, broken], promising("latency", []), lambda: ticks.append(None)
    )
    assert [path.name for path in order] == ["a", "slow", "b", "broken", "a", "b", "a", "b"]
    assert len(ticks) == 12
    assert {candidate: len(own) for candidate, own in runs.items()} == {first: 3, slow: 1, second: 3}
    assert Measurement.of(runs[second]).warm == pytest.approx(0.12)


def test_all_broken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    measured_by(monkeypatch, {})
    with pytest.raises(SessionFailed, match="no kernel"):
        Bench(Path("x.npz"), 3).measure(candidates("a", "b"), promising("latency", []), lambda: None)


def test_equals_are_not_measured_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    order = measured_by(monkeypatch, {Path("a"): run(5, 0.02, 1), Path("b"): run(5, 0.02, 1)})
    Bench(Path("x.npz"), 5).measure(candidates("a", "b"), promising("balanced", []), lambda: None)
    assert len(order) == 4


def test_threads_follow_from_memory_as_in_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "cores", lambda: 6)
    assert [thread_count(size) for size in (128, 1769, 3008, 10240)] == [1, 1, 2, 6]


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
