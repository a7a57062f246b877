"""Says in words why the package is as it is: what was chosen, instead of what, and what was measured of both."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from .bench import Candidate, Runs
from .graph_variants import GraphVariant
from .search import COLD_FLOOR, MEMORY_FLOOR, WARM_FLOOR, Objective, SearchResult, costs, gains_from_threads, spread
from .session_options import DISABLE_PREPACKING, Level

_NOTEWORTHY = 0.05
_NOTEWORTHY_OF_ALL = 0.01  # of what a function spends with every candidate

_GRAPHS = {
    "none": "The graph is as it was given: onnxruntime optimises it at load.",
    "basic": "The graph is optimised offline at level basic: constants folded, nodes fused into standard operators. It "
    "runs on every CPU and in every onnxruntime that knows its operator sets.",
    "extended": "The graph is optimised offline at level extended: nodes are fused into operators of onnxruntime's own "
    "(com.microsoft), the same on every CPU. It needs the onnxruntime it was checked with, or a newer one.",
}
_LAYOUT = (
    "Layout optimisation (NCHWc) is done at load and never offline: it depends on the vectors of the CPU, and Lambda "
    "has several kinds."
)
_PRECISIONS = {
    "int8-dynamic": "Weights are 8-bit integers, and inputs of operators are quantised at each call. Weights use 7 of "
    "the 8 bits, so that CPUs without VNNI do not saturate.",
    "int8-static": "Weights and activations are 8-bit integers, with ranges from the calibration samples. Weights use "
    "7 of the 8 bits, so that CPUs without VNNI do not saturate.",
    "fp16": "Weights and operators are FP16; inputs and outputs stay as they were. Where the CPU has no FP16 kernels, "
    "onnxruntime converts to FP32 at load: the file is smaller, the memory is not.",
}


def reasons_for(found: SearchResult, variant: GraphVariant) -> list[str]:
    """Each choice, with the measurements that led to it.

    Args:
        found: What the search found.
        variant: The chosen graph.
    """
    made = [_GRAPHS[variant.optimization]]
    if variant.precision != "as-is":
        made.append(_PRECISIONS[variant.precision])
    base = replace(found.best, session=replace(found.best.session, enable_cpu_mem_arena=True, enable_mem_pattern=True))
    made += [*_graph(found, base), *_level(found, base), *_prepacking(found, base)]
    return [*made, _memory(found, base), _threads(found)]


def _graph(found: SearchResult, base: Candidate) -> list[str]:
    for rival in found.graphs:
        if rival.graph != base.graph and rival.session == base.session:
            why = _why(found.graphs, base, rival, found.objective)
            return [f"Offline level {base.label!r} was chosen over {rival.label!r}: {why}."]
    return []


def _level(found: SearchResult, base: Candidate) -> list[str]:
    level = base.session.graph_optimization_level
    others: tuple[Level, ...] = ("extended", "disable") if level == "all" else ("all",)
    for other in others:
        rival = replace(base, session=replace(base.session, graph_optimization_level=other))
        if rival in found.graphs:
            why = _why(found.graphs, base, rival, found.objective)
            reason = f"At load, graph_optimization_level {level!r} was chosen over {other!r}: {why}."
            better, _ = _differences(found.graphs, base, rival)
            return [f"{reason} {_LAYOUT}" if level == "all" and better else reason]
    return []


def _prepacking(found: SearchResult, base: Candidate) -> list[str]:
    config = () if not base.session.prepacking else ((DISABLE_PREPACKING, "1"),)
    rival = replace(base, session=replace(base.session, config=config))
    if base.session.prepacking:
        reason = "Weights are prepacked for the CPU's kernels at load"
    else:
        reason = (
            f"Weights are not prepacked ({DISABLE_PREPACKING}=1), but used where they are mapped from the file: they "
            "stay in the page cache, not in the process"
        )
    if rival not in found.graphs:
        return [f"{reason}."]
    other = "not prepacking them" if base.session.prepacking else "prepacking them"
    return [f"{reason}. This was chosen over {other}: {_why(found.graphs, base, rival, found.objective)}."]


def _memory(found: SearchResult, base: Candidate) -> str:
    session = found.best.session
    switches = (("the memory arena", session.enable_cpu_mem_arena), ("memory patterns", session.enable_mem_pattern))
    off = [name for name, on in switches if not on]
    if not off:
        return "The memory arena and memory patterns stay on: nothing noteworthy is gained without them."
    why = _why(found.memory, found.best, base, found.objective)
    return f"Off: {' and '.join(off)}. This was chosen over leaving both on: {why}."


def _threads(found: SearchResult) -> str:
    own = [candidate for candidate in found.final if candidate.graph == found.best.graph]
    one, many = (pick(own, key=lambda candidate: candidate.threads) for pick in (min, max))
    if one == many:
        return "Threads are left to the function's vCPUs: the machine that measured has one core."
    on_one, on_many = (_ms(min(run.warm for run in found.final[candidate])) for candidate in (one, many))
    times = f"a call takes {on_one} on 1 thread and {on_many} on {many.threads}"
    if found.one_thread:
        return f"One thread, however many vCPUs the function has: {times}."
    if gains_from_threads(found.final, one, many):
        return f"Threads are left to the function's vCPUs: {times}."
    return f"Threads are left to the function's vCPUs: {times}, but the machine was busy, so this does not tell."


def _why(runs: Runs, chosen: Candidate, other: Candidate, objective: Objective) -> str:
    """What was measured to be better with the chosen one and what to be worse, or that the two count as equal."""
    better, worse = _differences(runs, chosen, other)
    although = f"although {', '.join(worse)}" if worse else ""
    if better:
        return ", ".join([*better, although] if although else better)
    medians = costs({candidate: runs[candidate] for candidate in (chosen, other)}, objective)
    order = list(runs)  # the simplest first
    if order.index(chosen) < order.index(other) and (not worse or medians[chosen] >= medians[other]):
        because = f"the two count as equal by the objective {objective!r}, and this one is simpler"
    else:
        because = f"it costs less by the objective {objective!r} as a whole"
    return f"{although}, {because}" if although else because


def _differences(runs: Runs, chosen: Candidate, other: Candidate) -> tuple[list[str], list[str]]:
    """What is noticeably better and what is noticeably worse, as `loading takes 5 ms instead of 480 ms`."""
    better: list[str] = []
    worse: list[str] = []
    for name, measured, floor, text in (
        ("loading takes", lambda run: run.load, COLD_FLOOR, _ms),
        ("the first call takes", lambda run: run.first, COLD_FLOOR, _ms),
        ("a warm call takes", lambda run: run.warm, WARM_FLOOR, _ms),
        ("anonymous memory is", lambda run: float(run.anonymous or 0), MEMORY_FLOOR, _mb),
    ):
        mine, theirs = ([measured(run) for run in runs[candidate]] for candidate in (chosen, other))
        more = median(mine) - median(theirs)
        if abs(more) > max(_NOTEWORTHY * median(theirs), _NOTEWORTHY_OF_ALL * floor, spread(mine) + spread(theirs)):
            found = f"{name} {text(median(mine))} instead of {text(median(theirs))}"
            (worse if more > 0 else better).append(found)
    return better, worse


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.0f} ms" if milliseconds >= 20 else f"{milliseconds:.3g} ms"


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 20e6 else f"{size / 1e6:.2g} MB"
