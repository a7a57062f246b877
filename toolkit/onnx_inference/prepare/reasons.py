"""Says in words why the package is as it is."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from .graph_variants import GraphVariant
from .search import COLD_FLOOR, MEMORY_FLOOR, WARM_FLOOR, Bench, Candidate, spread
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


def reasons_for(bench: Bench, chosen: Candidate, original: Candidate, variant: GraphVariant) -> list[str]:
    """Each choice with the measurements that made it.

    Args:
        bench: Has measured the candidates.
        chosen: What the package holds.
        original: The model as it was given.
        variant: The chosen graph.
    """
    made = [_GRAPHS[variant.optimization]]
    if rivals := [candidate for candidate in bench.runs if candidate.label not in (chosen.label, original.label)]:
        made += _graph(bench, chosen, rivals)
    if variant.precision != "as-is":
        made.append(_PRECISIONS[variant.precision])
    base = replace(chosen, session=_plain(chosen.session), threads=original.threads)
    made += _level(bench, base) + _prepacking(bench, base) + _memory(bench, chosen, base) + _threads(bench, chosen)
    return made


def _graph(bench: Bench, chosen: Candidate, rivals: list[Candidate]) -> list[str]:
    for rival in rivals:
        same = replace(rival, graph=chosen.graph, label=chosen.label)
        if same in bench.runs and same.session == _plain(chosen.session):
            against = _against(bench, same, rival) or "no measurable difference; the more portable one is kept"
            return [f"Level {chosen.label} rather than {rival.label} offline: {against}."]
    return []


def _plain(session: SessionOptions) -> SessionOptions:
    return replace(session, enable_cpu_mem_arena=True, enable_mem_pattern=True, intra_op_num_threads=None)


def _level(bench: Bench, base: Candidate) -> list[str]:
    level = base.session.graph_optimization_level
    others: tuple[Level, ...] = ("extended", "disable") if level == "all" else ("all",)
    for other in others:
        sibling = replace(base, session=replace(base.session, graph_optimization_level=other))
        if sibling in bench.runs:
            against = _against(bench, base, sibling) or "no measurable difference; the simpler setting is kept"
            reason = f"graph_optimization_level is {level!r} rather than {other!r}: {against}."
            return [f"{reason} {_LAYOUT}"] if level == "all" and _against(bench, base, sibling) else [reason]
    return []


def _prepacking(bench: Bench, base: Candidate) -> list[str]:
    config = () if not base.session.prepacking else ((DISABLE_PREPACKING, "1"),)
    sibling = replace(base, session=replace(base.session, config=config))
    if sibling not in bench.runs:
        return []
    against = _against(bench, base, sibling)
    if base.session.prepacking:
        return [
            "Weights are prepacked for the CPU's kernels at load: "
            f"{against or 'leaving it out makes no measurable difference'}."
        ]
    return [
        f"Weights are not prepacked ({DISABLE_PREPACKING}=1), but used where they are mapped from the file: {against}. "
        "They stay in the page cache, not in the process."
    ]


def _memory(bench: Bench, chosen: Candidate, base: Candidate) -> list[str]:
    session = chosen.session
    off = [
        name
        for name, on in (("arena", session.enable_cpu_mem_arena), ("memory patterns", session.enable_mem_pattern))
        if not on
    ]
    if not off:
        return ["The memory arena and memory patterns stay on: nothing is gained without them."]
    compared = replace(base, session=replace(session, enable_cpu_mem_arena=True, enable_mem_pattern=True))
    measured = replace(chosen, session=replace(session, intra_op_num_threads=None), threads=base.threads)
    against = _against(bench, measured, compared) if {measured, compared} <= bench.runs.keys() else ""
    return [f"Off: {' and '.join(off)}: {against or 'cheaper in sum'}."]


def _threads(bench: Bench, chosen: Candidate) -> list[str]:
    open_session = replace(chosen.session, intra_op_num_threads=None)
    same = sorted(
        (
            candidate
            for candidate in bench.runs
            if candidate.graph == chosen.graph and candidate.session == open_session
        ),
        key=lambda candidate: candidate.threads,
    )
    if len(same) < 2:
        return ["Threads are left to the function's vCPUs: the machine that measured has one core."]
    one, many = same[0], same[-1]
    times = f"a call takes {_ms(bench[one].warm)} on 1 thread and {_ms(bench[many].warm)} on {many.threads}"
    if chosen.session.intra_op_num_threads is None:
        busy = "; the machine was busy, so that is no proof" if bench[many].warm > bench[one].warm else ""
        return [f"Threads are left to the function's vCPUs: {times}{busy}."]
    return [f"One thread, however many vCPUs: {times}."]


def _against(bench: Bench, chosen: Candidate, other: Candidate) -> str:
    """What differs noticeably, as `load 5 ms instead of 480 ms`."""
    parts = []
    for name, key, floor, text in (
        ("load", _load, COLD_FLOOR, _ms),
        ("the first call", _first, COLD_FLOOR, _ms),
        ("a warm call", _warm, WARM_FLOOR, _ms),
        ("anonymous memory", _anonymous, MEMORY_FLOOR, _mb),
    ):
        mine, theirs = ([key(run) for run in bench.runs[candidate]] for candidate in (chosen, other))
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
