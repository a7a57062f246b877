"""Finds session options by measuring: candidates in turn, each in fresh processes, medians compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias, get_args

from .graph_variants import GraphVariant
from .session_options import DISABLE_PREPACKING, Level, SessionOptions
from .session_process import SessionFailed, SessionRun, run_session

Objective: TypeAlias = Literal["cold-start", "latency", "memory", "balanced"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

MB_PER_VCPU = 1769  # AWS Lambda "Configure function memory"
WARM_SECONDS = 0.4
MOST_THREADS = 6  # vCPUs of the largest function

# What a function spends anyway: imports, the protocol and the service around a call, interpreter and libraries.
# A candidate is judged by the whole, so that a millisecond of 300 does not outweigh one of 5.
COLD_FLOOR = 0.200
WARM_FLOOR = 0.001
MEMORY_FLOOR = 60e6

TIE = 1.02
"""Candidates within 2 % of the best are equal: measurements are not better than that."""

HOPELESS = 1.5
"""A candidate that is this much worse than the best is not measured again."""

ENOUGH = 2
"""Rounds after which candidates that are all equal are not measured again."""

THREADS_GAIN = 0.9
"""More threads are worth having when a call takes at most this share of its time on one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph and session options.

    Attributes:
        graph: The .onnx file.
        label: What the graph is, for tables and the manifest.
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
        anonymous: Bytes of anonymous memory after loading and one run, above the process before it; or None.
        rounds: Processes.
    """

    load: float
    first: float
    warm: float
    anonymous: float | None
    rounds: int

    def to_manifest(self) -> dict[str, float | int | None]:
        """The form that the manifest has: milliseconds and megabytes."""
        return {
            "load_ms": round(self.load * 1e3, 3),
            "first_ms": round(self.first * 1e3, 3),
            "warm_ms": round(self.warm * 1e3, 4),
            "anonymous_mb": None if self.anonymous is None else round(self.anonymous / 1e6, 2),
            "rounds": self.rounds,
        }


@dataclass
class Bench:
    """Measures candidates and keeps what it measured.

    Args:
        feed: The .npz file with the inputs of the timed runs.
        rounds: Processes per candidate.
        advance: Called after each process.
    """

    feed: Path
    rounds: int
    advance: Callable[[], None] = lambda: None
    runs: dict[Candidate, list[SessionRun]] = field(default_factory=dict)
    failures: dict[Candidate, str] = field(default_factory=dict)

    def measure(self, candidates: Sequence[Candidate], keep: Callable[[list[Candidate]], Iterable[Candidate]]) -> None:
        """Runs the candidates in turn, round by round, so that a slow spell of the machine hits all of them.

        Args:
            candidates: Those to measure.
            keep: Says after each round which to go on with.
        """
        going = [candidate for candidate in candidates if candidate not in self.failures]
        left = self.rounds * len(candidates)
        for _ in range(self.rounds):
            for candidate in list(going):
                try:
                    made = run_session(
                        candidate.graph,
                        candidate.session,
                        threads=candidate.threads,
                        feeds=[self.feed],
                        warm_seconds=WARM_SECONDS,
                    )
                except SessionFailed as error:
                    self.failures[candidate] = error.message
                    going.remove(candidate)
                else:
                    self.runs.setdefault(candidate, []).append(made)
                self.advance()
                left -= 1
            going = list(keep(going))
        for _ in range(left):
            self.advance()

    def __getitem__(self, candidate: Candidate) -> Measurement:
        runs = self.runs[candidate]
        anonymous = [run.anonymous for run in runs if run.anonymous is not None]
        return Measurement(
            median(run.load for run in runs),
            median(run.first for run in runs),
            median(run.warm for run in runs),
            median(anonymous) if anonymous else None,
            len(runs),
        )


def thread_count(memory_size: int) -> int:
    """Threads of a function of `memory_size` MB, by the handler's rule: its vCPUs, rounded, at most the cores here."""
    return max(1, min(cores(), round(memory_size / MB_PER_VCPU)))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cost(measured: Measurement | SessionRun, objective: Objective) -> float:
    """What a candidate costs in the objective's terms; less is better."""
    cold = COLD_FLOOR + measured.load + measured.first
    warm = WARM_FLOOR + measured.warm
    memory = MEMORY_FLOOR + (measured.anonymous or 0.0)
    if objective == "cold-start":
        return cold
    if objective == "latency":
        return warm
    if objective == "memory":
        return memory
    return prod((cold, warm, memory)) ** (1 / 3)


def choose(bench: Bench, candidates: Sequence[Candidate], objective: Objective) -> Candidate:
    """The candidate that costs least; equals are told apart by the balance of all costs, then by their order.

    Those whose difference from the best may be chance are its equals: with the simplest of them, two preparations of
    a model give the same package.

    Args:
        bench: Has measured them.
        candidates: At least one that was measured, the simplest first.
        objective: What to judge by.
    """
    left = [candidate for candidate in candidates if candidate in bench.runs and candidate not in bench.failures]
    for aim in (objective, "balanced") if objective != "balanced" else ("balanced",):
        costs = {candidate: [cost(run, aim) for run in bench.runs[candidate]] for candidate in left}
        best = min(left, key=lambda candidate: median(costs[candidate]))
        least, noise = median(costs[best]), spread(costs[best])
        left = [
            candidate
            for candidate in left
            if median(costs[candidate]) <= max(least * TIE, least + noise + spread(costs[candidate]))
        ]
    return left[0]


def spread(values: Sequence[float]) -> float:
    """Twice the median distance from the median: what of a difference may be chance."""
    middle = median(values)
    return 2 * median(abs(value - middle) for value in values)


def promising(
    bench: Bench, objective: Objective, always: Iterable[Candidate]
) -> Callable[[list[Candidate]], list[Candidate]]:
    """For `Bench.measure`: those not hopeless yet, and the ones that are wanted in any case; none if all are equal."""
    kept = set(always)

    def keep(candidates: list[Candidate]) -> list[Candidate]:
        costs = {candidate: cost(bench[candidate], objective) for candidate in candidates}
        least, most = min(costs.values(), default=0.0), max(costs.values(), default=0.0)
        if most <= least * TIE and all(len(bench.runs[candidate]) >= ENOUGH for candidate in candidates):
            return []
        limit = least * HOPELESS
        return [candidate for candidate in candidates if candidate in kept or costs[candidate] <= limit]

    return keep


def graph_candidates(variants: Sequence[GraphVariant], threads: int) -> list[Candidate]:
    """Graphs times levels at load times prepacking, the simplest first.

    A level below what was done offline would do nothing, except `disable`, which skips looking for work.
    """
    made = []
    for variant in variants:
        levels: tuple[Level, ...] = (
            ("all", "disable") if variant.optimization == "extended" else ("all", "extended", "disable")
        )
        for level in levels:
            for config in ((), ((DISABLE_PREPACKING, "1"),)):
                session = SessionOptions(graph_optimization_level=level, config=config)
                made.append(Candidate(variant.path, label(variant), session, threads))
    return made


def label(variant: GraphVariant) -> str:
    """What a graph is called in tables and the manifest."""
    return variant.optimization if variant.precision == "as-is" else f"{variant.optimization}, {variant.precision}"


def memory_candidates(best: Candidate) -> list[Candidate]:
    """The best so far, and the same without the arena, without memory patterns, without both."""
    session = best.session
    return [
        best,
        replace(best, session=replace(session, enable_mem_pattern=False)),
        replace(best, session=replace(session, enable_cpu_mem_arena=False)),
        replace(best, session=replace(session, enable_cpu_mem_arena=False, enable_mem_pattern=False)),
    ]


def is_busy() -> bool:
    """Whether the machine has more to do than its cores can, so that what threads gain cannot be told."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > cores()


def thread_candidates(best: Candidate) -> list[Candidate]:
    """The best so far on one thread and on several; none where there is one core only."""
    most = min(cores(), MOST_THREADS)
    return [replace(best, threads=1), replace(best, threads=most)] if most > 1 else []
