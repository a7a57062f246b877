"""Says in words why the package is as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

from .graph_variants import GraphVariant
from .search import COLD_FLOOR, MEMORY_FLOOR, WARM_FLOOR, Candidate, Measurement, Runs, spread
from .session_options import DISABLE_PREPACKING, Level, SessionOptions
from .session_process import SessionRun

_NOTEWORTHY = 0.05
_NOTEWORTHY_OF_ALL = 0.01  # of what a function spends anyway

_GRAPHS = {
    "none": "The graph is as it was given: onnxruntime optimises it at load.",
    "basic": "The graph is optimised offline at level basic: constants folded, nodes fused into standard operators. It "
    "runs on every CPU and in every onnxruntime that knows its operator sets.",
    "extended": "The graph is optimised offline at level extended: nodes are fused into operators of onnxruntime's own "
    "(com.microsoft), the same on every CPU. It needs the onnxruntime it was checked with, or a newer one.",
}
_LAYOUT = (
    "Layout optimisation (NCHWc) is never baked in: it depends on the vectors of the CPU, and Lambda has several kinds."
)
_PRECISIONS = {
    "int8-dynamic": "Weights are 8-bit integers, and inputs of operators are quantised at each call. Weights use 7 of "
    "the 8 bits, so that CPUs without VNNI do not saturate.",
    "int8-static": "Weights and activations are 8-bit integers, with ranges from the calibration samples. Weights use "
    "7 of the 8 bits, so that CPUs without VNNI do not saturate.",
    "fp16": "Weights and operators are FP16; inputs and outputs stay as they were. Where the CPU has no FP16 kernels, "
    "onnxruntime converts to FP32 at load: the file is smaller, the memory is not.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What the search found, with the runs that led there.

    Attributes:
        original: The model as it was given, with onnxruntime's defaults.
        best: The chosen graph and options, with the function's threads where they leave them open.
        measured: The same with the threads of `session`.
        one_thread: Whether one thread is fixed, because more gain nothing.
        graphs: Runs of graphs, levels and prepacking.
        memory: Runs with and without arena and memory patterns.
        final: Runs of the original, the best, and the best with other numbers of threads.
    """

    original: Candidate
    best: Candidate
    measured: Candidate
    one_thread: bool
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
        return Measurement.of(self.final[self.measured])


def reasons_for(found: Found, variant: GraphVariant) -> list[str]:
    """Each choice with the measurements that made it.

    Args:
        found: What the search found.
        variant: The chosen graph.
    """
    made = [_GRAPHS[variant.optimization]]
    if variant.precision != "as-is":
        made.append(_PRECISIONS[variant.precision])
    session = replace(found.best.session, enable_cpu_mem_arena=True, enable_mem_pattern=True)
    base = replace(found.best, session=session)
    made += _graph(found.graphs, base) + _level(found.graphs, base) + _prepacking(found.graphs, base)
    return made + _memory(found.memory, found.best, base) + _threads(found)


def _graph(runs: Runs, base: Candidate) -> list[str]:
    for rival in runs:
        if rival.graph != base.graph and rival.session == base.session:
            against = _against(runs, base, rival) or "no noteworthy difference; the more portable one is kept"
            return [f"Offline level {base.label!r} rather than {rival.label!r}: {against}."]
    return []


def _level(runs: Runs, base: Candidate) -> list[str]:
    level = base.session.graph_optimization_level
    others: tuple[Level, ...] = ("extended", "disable") if level == "all" else ("all",)
    for other in others:
        sibling = replace(base, session=replace(base.session, graph_optimization_level=other))
        if sibling in runs:
            against = _against(runs, base, sibling)
            reason = f"graph_optimization_level at load is {level!r} rather than {other!r}: "
            if not against:
                return [f"{reason}no noteworthy difference; the simpler setting is kept."]
            return [f"{reason}{against}. {_LAYOUT}" if level == "all" else f"{reason}{against}."]
    return []


def _prepacking(runs: Runs, base: Candidate) -> list[str]:
    config = () if not base.session.prepacking else ((DISABLE_PREPACKING, "1"),)
    sibling = replace(base, session=replace(base.session, config=config))
    against = _against(runs, base, sibling) if sibling in runs else ""
    if base.session.prepacking:
        without = "without that there is no noteworthy difference"
        return [f"Weights are prepacked for the CPU's kernels at load: {against or without}."]
    return [
        f"Weights are not prepacked ({DISABLE_PREPACKING}=1), but used where they are mapped from the file: "
        f"{against or 'cheaper in sum'}. They stay in the page cache, not in the process."
    ]


def _memory(runs: Runs, best: Candidate, base: Candidate) -> list[str]:
    session = best.session
    switches = (("arena", session.enable_cpu_mem_arena), ("memory patterns", session.enable_mem_pattern))
    off = [name for name, on in switches if not on]
    if not off:
        return ["The memory arena and memory patterns stay on: nothing is gained without them."]
    return [f"Off: {' and '.join(off)}: {_against(runs, best, base) or 'cheaper in sum'}."]


def _threads(found: Found) -> list[str]:
    own = [candidate for candidate in found.final if candidate.graph == found.best.graph]
    one, many = (pick(own, key=lambda candidate: candidate.threads) for pick in (min, max))
    if one == many:
        return ["Threads are left to the function's vCPUs: the machine that measured has one core."]
    fastest = {candidate: min(run.warm for run in found.final[candidate]) for candidate in (one, many)}
    times = f"a call takes {_ms(fastest[one])} on 1 thread and {_ms(fastest[many])} on {many.threads}"
    if found.one_thread:
        return [f"One thread, however many vCPUs: {times}."]
    busy = "; the machine was busy, so that proves nothing" if fastest[many] > fastest[one] else ""
    return [f"Threads are left to the function's vCPUs: {times}{busy}."]


def _against(runs: Runs, chosen: Candidate, other: Candidate) -> str:
    """What differs noticeably, as `load 5 ms instead of 480 ms`."""
    parts = []
    for name, key, floor, text in (
        ("load", _load, COLD_FLOOR, _ms),
        ("the first call", _first, COLD_FLOOR, _ms),
        ("a warm call", _warm, WARM_FLOOR, _ms),
        ("anonymous memory", _anonymous, MEMORY_FLOOR, _mb),
    ):
        mine, theirs = ([key(run) for run in runs[candidate]] for candidate in (chosen, other))
        apart = abs(median(mine) - median(theirs))
        if apart > max(_NOTEWORTHY * median(theirs), _NOTEWORTHY_OF_ALL * floor, spread(mine) + spread(theirs)):
            parts.append(f"{name} {text(median(mine))} instead of {text(median(theirs))}")
    return ", ".join(parts)


def _load(run: SessionRun) -> float:
    return run.load


def _first(run: SessionRun) -> float:
    return run.first


def _warm(run: SessionRun) -> float:
    return run.warm


def _anonymous(run: SessionRun) -> float:
    return float(run.anonymous or 0)


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.0f} ms" if milliseconds >= 20 else f"{milliseconds:.3g} ms"


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 20e6 else f"{size / 1e6:.2g} MB"
