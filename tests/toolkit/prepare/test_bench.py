"""What is measured, how often, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_inference.prepare import bench
from onnx_inference.prepare.bench import Bench, Candidate, Measurement, thread_count
from onnx_inference.prepare.search import promising
from onnx_inference.prepare.session_options import SessionOptions
from onnx_inference.prepare.session_process import SessionFailed, SessionRun
from tests.toolkit.prepare.measured import run


def measured_by(monkeypatch: pytest.MonkeyPatch, runs: dict[Path, SessionRun]) -> list[Path]:
    order = []

    def run_session(graph: Path, session: SessionOptions, **_: object) -> SessionRun:
        order.append(graph)
        if graph not in runs:
            raise SessionFailed("load", "no kernel")
        return runs[graph]

    monkeypatch.setattr(bench, "run_session", run_session)
    return order


def candidates(*names: str) -> list[Candidate]:
    return [Candidate(Path(name), "basic", SessionOptions(), 1) for name in names]


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
    monkeypatch.setattr(bench, "cores", lambda: 6)
    assert [thread_count(size) for size in (128, 1769, 3008, 10240)] == [1, 1, 2, 6]
