"""A warm request with a small JSON body: what the handler adds to the model's own time.

The model's own time is that of `session.run` on the same input, called in the same round with the same options. The
competitors each keep their own session, made as their users make it; its time is taken off theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from .contenders import FASTAPI, OURS, PLAIN, TITLES, digit, staged
from .in_process import CONTEXT, loaded, log, session, typical, unlogged
from .rounds import Chart, Figure, Result, Samples, Table, differences, interleaved, ratios

EVERYBODY = (OURS, PLAIN, FASTAPI)
GOAL = 40.0  # microseconds
CALLS = 300  # per round and contender
RUN, RUN_WITH_DEFAULTS = "session.run", "session.run, default options"
UNLOGGED = "ours, log discarded"


def run(rounds: int, workplace: Path, names: Sequence[str] = EVERYBODY, calls: int = CALLS) -> Result:
    """Measures `names`; each needs its packages installed."""
    contenders = [staged(name, workplace) for name in names]
    handlers = {contender.name: partial(loaded(contender), contender.event, CONTEXT) for contender in contenders}
    feeds = {"image": np.array(digit(), dtype=np.float32)}
    model = Path(contenders[0].model)
    own, default = session(model), onnxruntime.InferenceSession(model)
    to_call: dict[str, Callable[[], Any]] = {
        **handlers,
        RUN: lambda: own.run(["logits"], feeds),
        RUN_WITH_DEFAULTS: lambda: default.run(None, feeds),
    }
    with log():
        for name, call in to_call.items():
            answer = call()
            assert name not in handlers or answer["statusCode"] == 200, answer
        bursts = {name: typical(call, calls) for name, call in to_call.items()}
        samples = interleaved({**bursts, UNLOGGED: unlogged(bursts[OURS])}, rounds)
    overheads: Samples = {
        name: differences(samples, name, RUN if name == OURS else RUN_WITH_DEFAULTS) for name in names
    }
    figures = [
        Figure("warm, small JSON: handler minus session.run", RUN, overheads[OURS], GOAL, " µs"),
        Figure("the same, the handler's log line discarded", RUN, differences(samples, UNLOGGED, RUN), None, " µs"),
    ]
    for name in names:
        if name != OURS:
            added = ratios(overheads, OURS, name)
            figures.append(Figure("warm, small JSON: what the handler adds, ours / theirs", TITLES[name], added))
    chart = Chart(
        "Warm request, small JSON body: what the handler adds to session.run",
        {TITLES[name]: overheads[name] for name in names},
        TITLES[OURS],
        " µs",
    )
    return Result(
        "warm_small_json",
        "Warm request, small JSON body",
        samples,
        "µs",
        figures,
        chart,
        [phases(handlers[OURS], calls)],
    )


def phases(handle: Callable[[], Any], calls: int) -> Table:
    """Where a warm request of ours goes, by the metrics that the handler itself writes to its log."""
    written = StringIO()
    with redirect_stdout(written):
        for _ in range(calls):
            handle()
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    names = [metric["Name"] for metric in lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    rows = [(name, f"{median(line[name] for line in lines) * 1000:.1f}") for name in names]
    return Table(
        f"The handler's own metrics (medians of {calls}; reading the event and writing the log come on top)",
        ("phase", "µs"),
        rows,
    )
