"""Cold start of a small model under awslambdaric: from the start of the process to its first answer.

Everybody has the same interpreter, packages, bytecode and page cache, and an environment with Lambda's variables alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from .contenders import FASTAPI, LEAST, LEAST_TUNED, OURS, PLAIN, TITLES, Contender, staged
from .rounds import Chart, Figure, Result, Table, interleaved, ratios
from .runtime_api import first_answer

EVERYBODY = (OURS, LEAST, LEAST_TUNED, PLAIN, FASTAPI)
GOALS = {LEAST: 1.05, LEAST_TUNED: 1.05, PLAIN: 0.40, FASTAPI: 0.40}
STAGES = Path(__file__).with_name("cold_start_stages.py")
SITE = Path(__file__).with_name("cold_start_site")


def run(rounds: int, workplace: Path, names: Sequence[str] = EVERYBODY) -> Result:
    """Measures `names`; each needs its packages installed."""
    contenders = {name: staged(name, workplace) for name in names}
    for contender in contenders.values():
        milliseconds(contender)  # brings files into the page cache
    samples = interleaved({name: partial(milliseconds, contender) for name, contender in contenders.items()}, rounds)
    figures = [
        Figure("cold start to first answer", TITLES[name], ratios(samples, OURS, name), GOALS[name])
        for name in names
        if name != OURS
    ]
    return Result(
        "cold_start",
        "Cold start, small model, under awslambdaric",
        samples,
        "ms",
        figures,
        Chart(
            f"Cold start to first answer, relative to the {TITLES[LEAST]}",
            {TITLES[name]: ratios(samples, name, LEAST) for name in names},
            TITLES[OURS],
        ),
        [breakdown(contenders[OURS], max(1, rounds // 3))],
    )


def milliseconds(contender: Contender) -> float:
    """One cold start."""
    with first_answer(contender.command, contender.task_root, contender.event, contender.environment()) as answer:
        return answer.seconds * 1000


def breakdown(contender: Contender, rounds: int) -> Table:
    """Where the time goes: the handler behind a module that notes the clock between its imports."""
    shutil.copy(STAGES, contender.task_root / STAGES.name)
    environment = {**contender.environment(), "PYTHONPATH": str(SITE)}
    taken: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        command = f"{STAGES.stem}.handler"
        with first_answer(command, contender.task_root, contender.event, environment) as answer:
            previous = answer.started
            ended = answer.started + answer.seconds
            stages = {**answer.body["stages"], "the answer on its way": ended}
        if turn == 0:
            continue  # warms the page cache
        for stage, noted in stages.items():
            taken.setdefault(stage, []).append((noted - previous) * 1000)
            previous = noted
    medians = {stage: median(values) for stage, values in taken.items()}
    whole = sum(medians.values())
    rows = [(stage, f"{value:.1f}", f"{value / whole:.0%}") for stage, value in medians.items()]
    return Table(f"Where a cold start of {TITLES[OURS]} goes (medians of {rounds})", ("stage", "ms", "share"), rows)
