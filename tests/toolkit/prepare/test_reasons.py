"""What a package says about its choices: what was chosen, over what, and what was measured of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onnx_inference.prepare.bench import Candidate, Runs
from onnx_inference.prepare.graph_variants import GraphVariant
from onnx_inference.prepare.reasons import reasons_for
from onnx_inference.prepare.search import Objective, SearchResult, choose
from tests.toolkit.prepare.measured import FUSED, MAPPED, PACKED, run

ORIGINAL = replace(PACKED, graph=Path("given"), label="as given")
TWO_THREADS = replace(PACKED, threads=2)
AT_LOAD = "At load, graph_optimization_level"


def result(
    graphs: Runs,
    objective: Objective = "balanced",
    best: Candidate | None = None,
    memory: Runs | None = None,
    final: Runs | None = None,
) -> SearchResult:
    """What a search gives whose first stage measured `graphs`."""
    chosen = choose(graphs, list(graphs), objective)
    best = best or chosen
    return SearchResult(
        objective,
        ORIGINAL,
        best,
        one_thread=False,
        package=best,
        graphs=graphs,
        memory=memory or {best: graphs[chosen]},
        final=final or {ORIGINAL: [run(9, 9, 9)], best: graphs[chosen]},
    )


def reason(found: SearchResult, beginning: str) -> str:
    variant = GraphVariant("extended" if found.best.label == "extended" else "basic", "as-is", Path())
    (told,) = [each for each in reasons_for(found, variant) if each.startswith(beginning)]
    return told


def test_a_graph_that_is_better_says_by_how_much_and_at_what_cost() -> None:
    found = result({PACKED: [run(10, 4, 30)] * 3, FUSED: [run(40, 2, 30)] * 3})
    assert reason(found, "Offline") == (
        "Offline level 'extended' was chosen over 'basic': "
        "a warm call takes 2 ms instead of 4 ms, although loading takes 40 ms instead of 10 ms."
    )


def test_a_slower_graph_that_counts_as_equal_is_not_said_to_be_chosen_for_that() -> None:
    """0.015 ms of a call are little beside the millisecond around it."""
    found = result({PACKED: [run(5, 0.12, 1.5)] * 3, FUSED: [run(5, 0.105, 1.5)] * 3})
    assert found.best == PACKED
    assert reason(found, "Offline") == (
        "Offline level 'basic' was chosen over 'extended': although a warm call takes 0.12 ms instead of 0.105 ms, "
        "the two count as equal by the objective 'balanced', and this one is simpler."
    )


def test_without_a_difference_the_simpler_graph_is_chosen() -> None:
    found = result({PACKED: [run(5, 0.1, 1)] * 3, FUSED: [run(5, 0.1, 1)] * 3}, "latency")
    assert reason(found, "Offline").endswith("count as equal by the objective 'latency', and this one is simpler.")


def test_small_gains_in_everything_add_up() -> None:
    found = result({PACKED: [run(300, 30, 100)] * 3, FUSED: [run(289, 29, 97)] * 3})
    assert found.best == FUSED
    assert reason(found, "Offline").endswith(": it costs less by the objective 'balanced' as a whole.")


@pytest.mark.parametrize(
    ("runs", "beginning", "end"),
    [
        (
            {PACKED: [run(1200, 28, 423)] * 3, MAPPED: [run(10, 28, 23)] * 3},
            "Weights are not prepacked (session.disable_prepacking=1)",
            "This was chosen over prepacking them: "
            "loading takes 10 ms instead of 1200 ms, anonymous memory is 23 MB instead of 423 MB.",
        ),
        (
            {PACKED: [run(105, 22, 11)] * 3, MAPPED: [run(95, 35, 11)] * 3},
            "Weights are prepacked",
            "This was chosen over not prepacking them: the first call takes 22 ms instead of 35 ms, "
            "a warm call takes 22 ms instead of 35 ms, although loading takes 105 ms instead of 95 ms.",
        ),
        (
            {PACKED: [run(105, 22, 11)] * 3},
            "Weights are prepacked",
            "Weights are prepacked for the CPU's kernels at load.",
        ),
    ],
)
def test_prepacking(runs: Runs, beginning: str, end: str) -> None:
    assert reason(result(runs), beginning).endswith(end)


def test_layout_is_explained_where_the_level_at_load_gains_by_it() -> None:
    lower = replace(PACKED, session=replace(PACKED.session, graph_optimization_level="extended"))
    told = reason(result({PACKED: [run(9, 20, 5)] * 3, lower: [run(9, 30, 5)] * 3}), AT_LOAD)
    assert "'all' was chosen over 'extended': the first call takes 20 ms instead of 30 ms" in told
    assert "NCHWc" in told
    assert "NCHWc" not in reason(result({PACKED: [run(9, 20, 5)] * 3, lower: [run(9, 20, 5)] * 3}), AT_LOAD)


def test_memory_options_that_are_off() -> None:
    off = replace(PACKED, session=replace(PACKED.session, enable_cpu_mem_arena=False))
    graphs = {PACKED: [run(9, 20, 50)] * 3}
    found = result(graphs, "memory", off, memory={PACKED: graphs[PACKED], off: [run(9, 20, 20)] * 3})
    assert reason(found, "Off") == (
        "Off: the memory arena. This was chosen over leaving both on: anonymous memory is 20 MB instead of 50 MB."
    )


@pytest.mark.parametrize(
    ("on_two", "one_thread", "end"),
    [
        (12, False, "vCPUs: a call takes 20 ms on 1 thread and 12 ms on 2."),
        (19, True, "One thread, however many vCPUs the function has: a call takes 20 ms on 1 thread and 19 ms on 2."),
        (19, False, "a call takes 20 ms on 1 thread and 19 ms on 2, but the machine was busy, so this does not tell."),
    ],
)
def test_threads(on_two: float, one_thread: bool, end: str) -> None:
    final = {PACKED: [run(9, 20, 5)] * 3, TWO_THREADS: [run(9, on_two, 5)] * 3}
    found = replace(result({PACKED: final[PACKED]}, final=final), one_thread=one_thread)
    assert reasons_for(found, GraphVariant("basic", "as-is", Path()))[-1].endswith(end)
