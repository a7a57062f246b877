"""Threads for the vCPUs that are paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_handler.errors import ModelUnusable
from onnx_handler.models.session import open_session, session_options, thread_count
from tests.support import models


@pytest.mark.parametrize(
    ("memory_size", "threads"),
    [(128, 1), (1769, 1), (2653, 1), (2654, 2), (3008, 2), (3538, 2), (5307, 3), (10240, 6)],
)
def test_threads_follow_memory(memory_size: int, threads: int) -> None:
    assert thread_count(memory_size, cores=6) == threads


def test_threads_never_outnumber_the_cores() -> None:
    assert thread_count(10240, cores=2) == 2


def test_both_pools_are_sized_and_nothing_spins() -> None:
    options = session_options(1769)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"


def test_a_directory_and_a_file_are_both_models(tmp_path: Path) -> None:
    directory = models.save(models.matmul(), tmp_path)
    for path in (directory, directory / "model.onnx"):
        assert open_session(str(path), 1769).get_inputs()[0].name == "x"


def test_the_cause_is_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"version https://git-lfs")
    with pytest.raises(ModelUnusable, match=r"onnxruntime .* cannot load"):
        open_session(str(tmp_path), 1769)
