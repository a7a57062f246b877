"""Finds session options by measuring: candidates in turn, each in fresh processes, medians compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
"""Runs of candidates that were measured in turn. Only these can be compared: another time the machine was another."""

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
            keep: Says after each round which to go on with.
            advance: Called `rounds` times for each candidate in the end.

        Returns:
            The runs of those that did not fail.

        Raises:
            SessionFailed: all of them failed; the message is that of the last.
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


def cost(run: SessionRun, objective: Objective) -> float:
    """What a run costs in the objective's terms; less is better."""
    cold = COLD_FLOOR + run.load + run.first
    warm = WARM_FLOOR + run.warm
    memory = MEMORY_FLOOR + (run.anonymous or 0.0)
    if objective == "cold-start":
        return cold
    if objective == "latency":
        return warm
    if objective == "memory":
        return memory
    return prod((cold, warm, memory)) ** (1 / 3)


def costs(runs: Runs, objective: Objective) -> dict[Candidate, float]:
    """The median cost of each candidate."""
    return {candidate: median(cost(run, objective) for run in own) for candidate, own in runs.items()}


def choose(runs: Runs, candidates: Sequence[Candidate], objective: Objective) -> Candidate:
    """The candidate that costs least; equals are told apart by the balance of all costs, then by their order.

    Those whose difference from the best may be chance are its equals: with the simplest of them, two preparations of
    a model give the same package.

    Args:
        runs: Runs that can be compared.
        candidates: The simplest first; at least one of them did not fail.
        objective: What to judge by.
    """
    left = {candidate: runs[candidate] for candidate in candidates if candidate in runs}
    for aim in (objective, "balanced") if objective != "balanced" else ("balanced",):
        medians = costs(left, aim)
        noise = {candidate: spread([cost(run, aim) for run in own]) for candidate, own in left.items()}
        best = min(medians, key=lambda candidate: medians[candidate])
        left = {
            candidate: own
            for candidate, own in left.items()
            if medians[candidate] <= medians[best] + max(medians[best] * (TIE - 1), noise[best] + noise[candidate])
        }
    return next(iter(left))


def spread(values: Sequence[float]) -> float:
    """Twice the median distance from the median: what of a difference may be chance."""
    middle = median(values)
    return 2 * median(abs(value - middle) for value in values)


def promising(objective: Objective, always: Iterable[Candidate]) -> Keep:
    """For `Bench.measure`: those not hopeless yet, and the ones that are wanted in any case; none if all are equal."""
    wanted = set(always)

    def keep(runs: Runs) -> Iterable[Candidate]:
        medians = costs(runs, objective)
        least, most = min(medians.values(), default=0.0), max(medians.values(), default=0.0)
        if most <= least * TIE and all(len(own) >= ENOUGH for own in runs.values()):
            return []
        return [candidate for candidate in runs if candidate in wanted or medians[candidate] <= least * HOPELESS]

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
    """The best so far on one thread, and on several if there are cores for them."""
    most = min(cores(), MOST_THREADS)
    return list(dict.fromkeys([replace(best, threads=1), replace(best, threads=most)]))


def gains_from_threads(runs: Runs, one: Candidate, many: Candidate) -> bool:
    """Whether several threads make a call faster. The fastest runs are compared: other work only makes runs slower."""
    fastest = [min(run.warm for run in runs[candidate]) for candidate in (one, many)]
    return fastest[1] <= THREADS_GAIN * fastest[0]
