"""What is read ahead, and that nothing about it can fail or hurt."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
from pathlib import Path

import pytest

from onnx_handler.storage import prefetch

MB = 1024**2


def cached_pages(path: Path) -> float:
    """The share of a file that is in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with path.open("rb") as file:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages)
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
    return sum(page & 1 for page in pages) / len(pages)


def evict(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def weights(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    evict(path)
    if cached_pages(path) > 0.1:
        pytest.skip("this file system's pages cannot be dropped")
    return path


def read_all(files: list[Path], most: int = 1 << 40) -> int:
    threads = prefetch.read_ahead([(str(file), file.stat().st_size) for file in files], most)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return len(threads)


def test_files_are_in_the_page_cache_afterwards(tmp_path: Path) -> None:
    large, small = weights(tmp_path / "large", 40 * MB + 17), weights(tmp_path / "small", 5 * MB)
    assert read_all([large, small]) == prefetch.THREADS - 1
    assert cached_pages(large) == cached_pages(small) == 1


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    file = weights(tmp_path / "large", 160 * MB)
    read_all([file], most=32 * MB)
    assert cached_pages(file) < 0.5


def test_a_small_model_starts_no_thread(tmp_path: Path) -> None:
    assert read_all([weights(tmp_path / "small", 3 * MB)]) == 0


def test_what_is_cached_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights(tmp_path / "large", 20 * MB)
    file.read_bytes()
    monkeypatch.setattr(os, "sendfile", lambda *_: pytest.fail("it was read"))
    read_all([file])


def test_a_file_that_vanishes_ends_a_thread_and_nothing_else(tmp_path: Path) -> None:
    for thread in prefetch.read_ahead([(str(tmp_path / "gone"), 50 * MB)], 1 << 40):
        thread.join(10)
        assert not thread.is_alive()


def names(environment: dict[str, str]) -> list[str]:
    return sorted(Path(file).name for file, _ in prefetch._files(environment))


def test_which_files(tmp_path: Path) -> None:
    for name in ("m/model.onnx", "m/model.onnx.data", "m/sub/w.bin", "m/goldens/x.npy", "m/.hidden/y", "other.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    root = {"LAMBDA_TASK_ROOT": str(tmp_path)}
    assert names({**root, "MODEL_PATH": "m"}) == ["model.onnx", "model.onnx.data", "w.bin"]
    assert names({**root, "MODEL_PATH": "m/model.onnx"}) == ["model.onnx", "model.onnx.data"]
    assert names({**root, "MODEL_PATH": "other.onnx"}) == ["other.onnx"]
    assert names({**root, "MODELS": json.dumps([{"path": "other.onnx"}, {"objects": {}}, {"path": "m"}])}) == [
        "model.onnx",
        "model.onnx.data",
        "other.onnx",
        "w.bin",
    ]
    assert names(root) == []


@pytest.mark.parametrize(
    "environment",
    [{}, {"MODEL_PATH": "\0"}, {"MODELS": "{"}, {"MODELS": "[1]"}, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "much"}],
)
def test_nothing_in_the_environment_makes_it_raise(environment: dict[str, str]) -> None:
    prefetch.start(environment)
