"""Preparations that are quick: sessions in this process, one short round. Tests of measuring use real processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import onnx
import pytest

from onnx_inference.prepare import batching, bench, session_process, session_worker
from onnx_inference.prepare.preparation import Prepared, prepare
from onnx_inference.prepare.request import Request
from tests.toolkit.prepare import corpus


class NoSteps:
    """Shows nothing."""

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        yield lambda: None


@pytest.fixture
def steps() -> NoSteps:
    return NoSteps()


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


@pytest.fixture
def in_process() -> Iterator[None]:
    with sessions_in_this_process():
        yield


class Prepare(Protocol):
    def __call__(self, made: onnx.ModelProto | Path, *, external: bool = False, **request: Any) -> Prepared: ...


@pytest.fixture
def prepared(in_process: None, tmp_path: Path) -> Prepare:
    """Prepares a model into `package` below tmp_path."""

    def run(made: onnx.ModelProto | Path, *, external: bool = False, **request: Any) -> Prepared:
        path = made if isinstance(made, Path) else corpus.save(made, tmp_path / "given" / "m.onnx", external=external)
        return prepare(Request(**{"model": path, "output": tmp_path / "package", "rounds": 1, **request}), NoSteps())

    return run
