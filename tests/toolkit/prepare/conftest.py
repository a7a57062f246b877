"""Preparations with sessions in this process, measured for one short round. Tests of measuring use real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import onnx
import pytest

from onnx_inference.prepare.preparation import Prepared, prepare
from onnx_inference.prepare.request import Request
from tests.support import corpus
from tests.support.quick_preparation import NoSteps, sessions_in_this_process


@pytest.fixture
def steps() -> NoSteps:
    return NoSteps()


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
