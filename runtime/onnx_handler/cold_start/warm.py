"""Answers warm events, which keep environments alive: as many as there are events at a time.

    {"source": "cdk-onnx-inference.warmer", "hold_ms": 75, "touch": false}

If all environments are busy, Lambda starts a new one. So each event holds its environment for a moment, and N events
that are sent together reach N environments. The answer says which environment it was, and whether it was warm:

    {"warm": true, "model_ready": true, "held_ms": 75, "environment": "2026/11/22/[1]f3a0..."}

A command recognises the event by its `source`, `events.WARMER`, before it reads anything else, and only then imports
this module.
"""

from __future__ import annotations

import logging
import os
from time import perf_counter, sleep
from typing import Any

from onnx_handler.models.golden_run import run as golden_run
from onnx_handler.models.repository import Repository
from onnx_handler.storage.prefetch import files_of, read_ahead

LONGEST_HOLD = 10_000  # milliseconds
# Milliseconds of the function's timeout that must be left when a hold ends.
_MARGIN = 500

_log = logging.getLogger("onnx_handler")
_names: list[str] = []


def answer(event: dict[str, Any], context: Any, repository: Repository, *, first: bool) -> dict[str, Any]:
    """Answers a warm event. A wrong member is replaced, and reported in the answer's `notes` and in the log.

    Args:
        event: `hold_ms`: milliseconds until the answer (default 0). `touch`: also read the models' files into the page
            cache, and run each model once (default false).
        context: Lambda's. A hold ends before the function's timeout.
        repository: the function's models. A model whose source did not answer may be loaded now.
        first: this is the environment's first event: the environment was not warm.
    """
    seen = perf_counter()
    notes: list[str] = []
    hold = _hold(event.get("hold_ms", 0), context, notes)
    touch = event.get("touch", False)
    if not isinstance(touch, bool):
        notes.append(f"touch is {_shown(touch)}; true or false is expected, false is taken")
        touch = False
    why_not = repository.why_not_all_ready()
    if touch:
        _touch(repository)
    sleep(max(0.0, hold / 1000 - (perf_counter() - seen)))
    metrics = repository.first_metrics
    if metrics is not None:
        metrics.pinged(getattr(context, "aws_request_id", ""), warm=not first)
    answered = {
        "warm": not first,
        "model_ready": not why_not,
        "held_ms": round((perf_counter() - seen) * 1000),
        "environment": _environment(),
    }
    if notes:
        answered["notes"] = notes
        _log.warning("warm event: %s", "; ".join(notes))
    return answered


def _hold(asked: Any, context: Any, notes: list[str]) -> int:
    """Milliseconds to hold, within what is allowed and what is left of the function's timeout."""
    if isinstance(asked, float) and asked.is_integer():  # how some JSON libraries write a whole number
        asked = int(asked)
    if not isinstance(asked, int) or isinstance(asked, bool):
        notes.append(f"hold_ms is {_shown(asked)}; a whole number from 0 to {LONGEST_HOLD} is expected, 0 is taken")
        return 0
    hold = max(0, min(LONGEST_HOLD, asked))
    if hold != asked:
        notes.append(f"hold_ms is {_shown(asked)}; {hold} is taken (allowed: 0 to {LONGEST_HOLD})")
    left = getattr(context, "get_remaining_time_in_millis", None)
    if left is not None and hold > (most := max(0, int(left()) - _MARGIN)):
        notes.append(f"hold_ms is {hold}, and the function's timeout leaves {most}, which is taken")
        return most
    return hold


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.40}"
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return f"a {type(value).__name__} of more digits than can be shown"


def _touch(repository: Repository) -> None:
    for served in repository.in_memory():
        if served.model is None:
            continue
        for thread in read_ahead(list(files_of(served.model.path)), repository.memory):
            thread.join()
        golden_run(served.model, served.metrics)


def _environment() -> str:
    """This environment's name: that of its log stream, or with SnapStart, where Lambda does not tell it, a random one.

    It is chosen at the first warm event: all environments restored from a snapshot would share an earlier one.
    """
    if not _names:
        _names.append(os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME") or os.urandom(16).hex())
    return _names[0]
