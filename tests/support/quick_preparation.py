"""Preparations that are quick: sessions in this process, one short round. Tests of measuring use real processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from onnx_inference.prepare import batching, bench, session_process, session_worker


class NoSteps:
    """Shows nothing."""

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        yield lambda: None


@contextmanager
def sessions_in_this_process() -> Iterator[None]:
    """Sessions run in this process, through the same requests and answers, and are timed briefly."""

    def ask(request: Mapping[str, Any]) -> dict[str, Any]:
        answered: dict[str, Any] = json.loads(json.dumps(session_worker.answer(json.loads(json.dumps(request)))))
        return answered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_process, "_ask", ask)
        patch.setattr(bench, "WARM_SECONDS", 0.001)
        patch.setattr(batching, "WARM_SECONDS", 0.001)
        yield
