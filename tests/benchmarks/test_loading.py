"""That the benchmarks of loading run and report. No time is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.loading import from_s3, large_model, models, page_cache, staging
from onnx_inference.cli import main
from tests.support.quick_preparation import sessions_in_this_process

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("awslambdaric") is None, reason="awslambdaric is there for Linux only"
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (large_model, from_s3):
        monkeypatch.setattr(module, "SIZE", 3_000_000)
    monkeypatch.setattr(models, "ROUNDS", 1)
    monkeypatch.setattr(page_cache, "drop", lambda: None)  # the machine's, which others use too


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages by the same command, in this process."""

    def prepare(graph: Path, into: Path) -> None:
        with sessions_in_this_process():
            result = CliRunner().invoke(main, ["prepare", str(graph), "-o", str(into), "--rounds", "1"])
        assert result.exit_code == 0, result.output

    monkeypatch.setattr(models, "_prepare", prepare)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("shape", models.SHAPES)
def test_a_large_model_is_measured_against_a_session(shape: str, tmp_path: Path) -> None:
    result = large_model.measure(shape, 1, tmp_path)
    assert set(result.samples) == {"prepared", "bare", "session", "ort"}
    assert result.figures[0].goal == 0.35
    assert len(result.tables[0].rows) == 4
    assert {name for name, _ in result.tables[1].rows} >= {"graph optimised offline", "graph_optimization_level"}


@pytest.mark.usefixtures("quick")
def test_a_model_is_made_once(tmp_path: Path) -> None:
    def made(size: int) -> int:
        models.save("mlp", size, tmp_path)
        return (tmp_path / "prepared" / "manifest.json").stat().st_mtime_ns

    first = made(3_000_000)
    assert made(3_000_000) == first
    assert made(40_000_000) > first


def test_a_model_from_s3_is_measured_against_download_file(tmp_path: Path) -> None:
    result = from_s3.measure("mlp", 1, tmp_path)
    assert set(result.samples) == {"onnx_handler", "without the fork", "download_file"}


def test_the_handler_without_prefetch_brings_nothing_ahead(tmp_path: Path) -> None:
    """Otherwise the figure against it compares the handler with itself."""
    environment = {"MODEL_OBJECTS": "[]", "PATH": os.defpath}
    begun = {}
    for name in (staging.HANDLER, staging.WITHOUT_PREFETCH):
        root = staging.staged(name, tmp_path)
        code = "import sys, onnx_handler.http; sys.exit('onnx_handler.storage.download_ahead' in sys.modules)"
        ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=False, capture_output=True)
        begun[name] = ran.returncode
    assert begun == {staging.HANDLER: 1, staging.WITHOUT_PREFETCH: 0}
