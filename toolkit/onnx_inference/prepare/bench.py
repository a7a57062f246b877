"""Measures graphs with session options: in turns, each time in a fresh process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

from .session_options import SessionOptions
from .session_process import SessionFailed, SessionRun, run_session

MB_PER_VCPU = 1769  # AWS Lambda "Configure function memory"
WARM_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph and session options.

    Attributes:
        graph: The .onnx file.
        label: What the graph is called in the manifest and in reasons.
        session: The options.
        threads: Threads where the options leave them open.
    """

    graph: Path
    label: str
    session: SessionOptions
    threads: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Medians over a candidate's processes.

    Attributes:
        load: Seconds to make the session.
        first: Seconds of the first run.
        warm: Median seconds of the runs after it.
        anonymous: Bytes of anonymous memory that loading and one run added; None where it cannot be measured.
        rounds: How many processes.
    """

    load: float
    first: float
    warm: float
    anonymous: float | None
    rounds: int

    @classmethod
    def of(cls, runs: Sequence[SessionRun]) -> Measurement:
        """The medians of some runs."""
        anonymous = [run.anonymous for run in runs if run.anonymous is not None]
        return cls(
            median(run.load for run in runs),
            median(run.first for run in runs),
            median(run.warm for run in runs),
            median(anonymous) if anonymous else None,
            len(runs),
        )

    def to_manifest(self) -> dict[str, float | int | None]:
        """The form that the manifest has: milliseconds and megabytes."""
        return {
            "load_ms": round(self.load * 1e3, 3),
            "first_ms": round(self.first * 1e3, 3),
            "warm_ms": round(self.warm * 1e3, 4),
            "anonymous_mb": None if self.anonymous is None else round(self.anonymous / 1e6, 2),
            "rounds": self.rounds,
        }


Runs: TypeAlias = dict[Candidate, list[SessionRun]]
"""Runs by candidate, measured in turns. Only such runs can be compared: a machine is not equally fast at all times."""

Keep: TypeAlias = Callable[[Runs], Iterable[Candidate]]


@dataclass(frozen=True, slots=True)
class Bench:
    """Measures candidates.

    Args:
        feed: The .npz file with the inputs of the timed runs.
        rounds: Processes per candidate.
    """

    feed: Path
    rounds: int

    def measure(self, candidates: Sequence[Candidate], keep: Keep, advance: Callable[[], None]) -> Runs:
        """Runs the candidates in turn, round by round, so that a slow spell of the machine hits all of them.

        Args:
            candidates: Those to measure.
            keep: Chooses, after each round, the candidates that are measured again.
            advance: Called `rounds` times per candidate in all, measured or not.

        Returns:
            The runs of those that did not fail.

        Raises:
            SessionFailed: All of them failed; the message is that of the last.
        """
        runs: Runs = {candidate: [] for candidate in candidates}
        going = list(candidates)
        left = self.rounds * len(candidates)
        for _ in range(self.rounds):
            for candidate in going:
                try:
                    runs[candidate].append(self._run(candidate))
                except SessionFailed:
                    del runs[candidate]
                    if not runs:
                        raise
                advance()
                left -= 1
            going = list(keep({candidate: runs[candidate] for candidate in going if candidate in runs}))
        for _ in range(left):
            advance()
        return runs

    def _run(self, candidate: Candidate) -> SessionRun:
        return run_session(
            candidate.graph,
            candidate.session,
            threads=candidate.threads,
            feeds=[self.feed],
            warm_seconds=WARM_SECONDS,
        )


def thread_count(memory_size: int) -> int:
    """Threads of a function of `memory_size` MB, by the handler's rule: its vCPUs, rounded, at most the cores here."""
    return max(1, min(cores(), round(memory_size / MB_PER_VCPU)))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
