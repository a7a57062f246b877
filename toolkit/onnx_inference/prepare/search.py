"""Finds the graph and the session options that cost least by an objective."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from statistics import median
from typing import Literal, TypeAlias

from .bench import Bench, Candidate, Keep, Measurement, Runs, cores
from .errors import Refused
from .graph_variants import GraphVariant
from .session_options import DISABLE_PREPACKING, Level, SessionOptions
from .session_process import SessionFailed, SessionRun
from .steps import Steps

Objective: TypeAlias = Literal["cold-start", "latency", "memory", "balanced"]

MOST_THREADS = 6  # vCPUs of the largest function

# What a function spends with every candidate: imports; the protocol and the service around a call; interpreter and
# libraries. A candidate is judged together with them, so that 1 ms saved of 200 ms counts less than 1 ms saved of 5 ms.
COLD_FLOOR = 0.200
WARM_FLOOR = 0.001
MEMORY_FLOOR = 60e6

TIE = 1.02
"""Candidates within 2 % of the best count as equal: measurements are not more exact than that."""

HOPELESS = 1.5
"""A candidate that costs this many times what the best costs is not measured again."""

ENOUGH = 2
"""Rounds after which candidates that are all equal are not measured again."""

THREADS_GAIN = 0.9
"""More threads are worth having when a call takes at most this share of its time on one."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was chosen, and the runs that led there.

    Attributes:
        objective: What was chosen by.
        original: The model as it was given, with onnxruntime's defaults.
        best: The chosen graph and options, measured with the function's threads.
        one_thread: Whether the package fixes one thread, because more threads gain nothing.
        package: `best`, measured with the threads that the package will have.
        graphs: Runs of graphs, levels and prepacking.
        memory: Runs with and without arena and memory patterns.
        final: Runs of the original, the best, and the best with other numbers of threads.
    """

    objective: Objective
    original: Candidate
    best: Candidate
    one_thread: bool
    package: Candidate
    graphs: Runs
    memory: Runs
    final: Runs

    @property
    def session(self) -> SessionOptions:
        """The options for the manifest."""
        return replace(self.best.session, intra_op_num_threads=1 if self.one_thread else None)

    @property
    def before(self) -> Measurement:
        """The model as it was given."""
        return Measurement.of(self.final[self.original])

    @property
    def after(self) -> Measurement:
        """The package."""
        return Measurement.of(self.final[self.package])


def search(
    bench: Bench, original: Candidate, variants: Sequence[GraphVariant], objective: Objective, steps: Steps
) -> SearchResult:
    """Chooses in three stages: the graph with its level and prepacking, then the memory options, then the threads.

    Args:
        bench: Measures.
        original: The model as it was given, with the function's threads.
        variants: The graphs to choose from, the simplest first.
        objective: What to choose by.
        steps: Told about progress.

    Raises:
        Refused: `model-fails`: none of the graphs runs.
    """
    first = graph_candidates(variants, original.threads)
    try:
        with steps.step("Measuring graphs, levels, prepacking", len(first) * bench.rounds) as advance:
            graphs = bench.measure(first, promising(objective, []), advance)
    except SessionFailed as error:
        raise Refused(
            "model-fails", f"None of the optimised graphs runs: {error.message}", "Prepare it with other options."
        ) from None
    best = choose(graphs, first, objective)
    second = memory_candidates(best)
    with steps.step("Measuring the memory arena", len(second) * bench.rounds) as advance:
        memory = bench.measure(second, promising(objective, second), advance)
    best = choose(memory, second, objective)
    one, *several = thread_candidates(best)
    third = list(dict.fromkeys([original, best, one, *several]))
    with steps.step("Measuring threads, and the original", len(third) * bench.rounds) as advance:
        final = bench.measure(third, lambda runs: runs, advance)
    one_thread = bool(several) and not is_busy() and not gains_from_threads(final, one, several[0])
    package = one if one_thread else best
    return SearchResult(objective, original, best, one_thread, package, graphs, memory, final)


def graph_candidates(variants: Sequence[GraphVariant], threads: int) -> list[Candidate]:
    """Graphs times levels at load times prepacking, the simplest first.

    At load, a level up to the offline one finds nothing to do. Of these only `disable` is tried: it skips the search.
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
    """What a graph is called in the manifest and in reasons."""
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


def thread_candidates(best: Candidate) -> list[Candidate]:
    """The best so far on one thread, and on several if there are cores for them."""
    most = min(cores(), MOST_THREADS)
    return list(dict.fromkeys([replace(best, threads=1), replace(best, threads=most)]))


def promising(objective: Objective, always: Iterable[Candidate]) -> Keep:
    """For `Bench.measure`: keeps the candidates that are not hopeless, and `always`; none once all are equal."""
    wanted = set(always)

    def keep(runs: Runs) -> Iterable[Candidate]:
        medians = costs(runs, objective)
        least, most = min(medians.values(), default=0.0), max(medians.values(), default=0.0)
        if most <= least * TIE and all(len(own) >= ENOUGH for own in runs.values()):
            return []
        return [candidate for candidate in runs if candidate in wanted or medians[candidate] <= least * HOPELESS]

    return keep


def choose(runs: Runs, candidates: Sequence[Candidate], objective: Objective) -> Candidate:
    """The candidate that costs least.

    Candidates count as equal to the best where the difference may be chance. Of these, the one is chosen that costs
    least in all respects together, and then the first. So two preparations of a model give the same package.

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


def costs(runs: Runs, objective: Objective) -> dict[Candidate, float]:
    """The median cost of each candidate."""
    return {candidate: median(cost(run, objective) for run in own) for candidate, own in runs.items()}


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


def spread(values: Sequence[float]) -> float:
    """Twice the median distance from the median: how large a difference may be by chance."""
    middle = median(values)
    return 2 * median(abs(value - middle) for value in values)


def gains_from_threads(runs: Runs, one: Candidate, many: Candidate) -> bool:
    """Whether several threads make a call faster. The fastest runs are compared: other work only makes runs slower."""
    fastest = [min(run.warm for run in runs[candidate]) for candidate in (one, many)]
    return fastest[1] <= THREADS_GAIN * fastest[0]


def is_busy() -> bool:
    """Whether more is running on the machine than it has cores: then the gain of threads cannot be measured."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > cores()
