"""How many rows a run should have: which models are measured, what is recommended, what the package says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from onnx_inference.prepare import batching
from onnx_inference.prepare.batching import Batching, has_batch_dimension, measure, repeated
from onnx_inference.prepare.bench import Candidate
from onnx_inference.prepare.session_options import SessionOptions
from onnx_inference.prepare.session_process import run_session
from onnx_inference.prepare.signature import Signature, read_signature
from tests.support import models


def saved(made: onnx.ModelProto, directory: Path) -> tuple[Candidate, Signature]:
    path = models.save(made, directory) / "model.onnx"
    run = run_session(path, SessionOptions())
    return Candidate(path, "", SessionOptions(), 1), read_signature(made, run.inputs, run.outputs)


@pytest.mark.parametrize(
    ("runs", "rows"),
    [
        ({1: 1.0, 2: 2.0, 4: 4.0}, 1),
        ({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 8),
        ({1: 1.0, 2: 1.1, 4: 1.2, 8: 2.2, 16: 4.3}, 8),
        ({1: 1.0, 2: 1.1, 4: 1.9, 8: 3.6}, 4),
    ],
)
def test_the_smallest_that_is_about_as_fast_as_any(runs: dict[int, float], rows: int) -> None:
    assert Batching(runs).recommended == rows
    assert Batching(runs).gain() == pytest.approx(rows / runs[rows])


def test_which_models_have_a_batch_dimension(tmp_path: Path) -> None:
    assert has_batch_dimension(saved(models.matmul(), tmp_path / "a")[1])
    assert has_batch_dimension(saved(models.sum_and_difference(), tmp_path / "b")[1])
    assert not has_batch_dimension(saved(models.repeated(), tmp_path / "c")[1])
    assert not has_batch_dimension(saved(models.identity(TensorProto.FLOAT, ()), tmp_path / "d")[1])


def test_measuring(tmp_path: Path) -> None:
    best, signature = saved(models.matmul(), tmp_path)
    turns: list[int] = []
    found = measure(best, signature, {"x": np.ones((3, 4), np.float32)}, tmp_path, lambda: turns.append(1))
    assert found is not None
    assert tuple(found.runs) == batching.SIZES
    assert len(turns) == len(batching.SIZES)
    told = found.to_manifest()
    assert told["recommended_rows"] in batching.SIZES
    assert [run["rows"] for run in told["runs"]] == list(batching.SIZES)


def test_a_slow_model_is_not_measured_at_every_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LONGEST_RUN", 0.0)
    best, signature = saved(models.matmul(), tmp_path)
    found = measure(best, signature, {"x": np.ones((1, 4), np.float32)}, tmp_path, lambda: None)
    assert found is not None
    assert tuple(found.runs) == (1,)


def test_rows_are_repeated() -> None:
    array = np.arange(6).reshape(3, 2)
    assert repeated(array, 2).tolist() == [[0, 1], [2, 3]]
    assert repeated(array, 4).tolist() == [[0, 1], [2, 3], [4, 5], [0, 1]]
