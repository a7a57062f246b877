"""The cache: what is served is what was deployed, whatever happened before; downloads, locks, space, eviction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnx_handler.errors import AccessDenied, DiskFull, ModelUnusable, SourceUnavailable, WrongContent
from onnx_handler.model_objects import Part, size_of
from onnx_handler.storage import download, s3
from onnx_handler.storage.download import JOURNAL
from onnx_handler.storage.model_cache import VERIFIED, ModelCache, patience
from tests.support.s3 import S3, document, refuse
from tests.support.synth import ROOT

Put = Callable[..., tuple[Part, ...]]


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RANGE", 1000)


def model(server: S3, seed: int = 0, size: int = 10_500) -> tuple[Part, ...]:
    weights = bytes((seed + i) % 251 for i in range(size))
    files = {"model.onnx": b"graph %d" % seed, "weights/model.data": weights, "empty": b"", "manifest.json": b"{}"}
    return server.put(files, prefix=f"{seed}/")


def content(server: S3, parts: tuple[Part, ...], path: str) -> bool:
    """Whether a directory holds a model's files, whole, and nothing else that could be taken for one."""
    found = {file.relative_to(path).as_posix(): file.read_bytes() for file in Path(path).rglob("*") if file.is_file()}
    found.pop(VERIFIED)
    return found == {part.path: server.objects[part.key] for part in parts}


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def test_a_model_is_downloaded_once(server: S3, cache: str) -> None:
    parts = model(server)
    path = ModelCache(cache).obtain(parts)
    assert content(server, parts, path)
    assert server.bytes_asked() == size_of(parts)
    server.forget()
    assert ModelCache(cache).obtain(parts) == path
    assert server.asked == []


def test_downloads_are_ranges_side_by_side(server: S3, cache: str) -> None:
    server.pause = 0.05
    at_once, most = [0], [0]
    lock = threading.Lock()

    def count(handler: Any, ask: Any) -> bool:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Timer(0.04, lambda: at_once.__setitem__(0, at_once[0] - 1)).start()
        return False

    server.fault = count
    ModelCache(cache).obtain(model(server))
    assert all(ask.last - ask.first < 1000 for ask in server.asked)
    assert 4 <= most[0] <= download.CONNECTIONS


def test_threads_and_processes_share_one_download(server: S3, cache: str) -> None:
    server.pause = 0.02
    parts = model(server)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: ModelCache(cache).obtain(parts), range(4)))
    assert len(set(paths)) == 1
    assert server.bytes_asked() == size_of(parts)


PROGRAM = """
import json, sys
from onnx_handler.storage.model_cache import ModelCache
from onnx_handler.model_objects import parse
print(ModelCache(sys.argv[1]).obtain(parse("parts", json.loads(sys.argv[2]))))
"""


def start(server: S3, cache: str, parts: tuple[Part, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, cache, json.dumps(document(parts))],
        env={**os.environ, "PYTHONPATH": str(ROOT / "runtime"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_start_at_once_do_one_download(server: S3, cache: str) -> None:
    server.pause = 0.05
    parts = model(server, size=600_000)
    processes = [start(server, cache, parts) for _ in range(3)]
    paths = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert content(server, parts, paths.pop())
    assert not paths
    assert server.bytes_asked() == size_of(parts)


# -- damage ---------------------------------------------------------------------------------------------------------


def flip(file: Path) -> None:
    """Changes a byte and has the file look untouched, as far as anybody can."""
    times = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    with file.open("r+b") as opened:
        opened.write(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: flip(entry / "weights/model.data"),
        lambda entry: (entry / "weights/model.data").write_bytes(b"short"),
        lambda entry: (entry / "model.onnx").unlink(),
        lambda entry: [(entry / "model.onnx").unlink(), (entry / VERIFIED).unlink()],
        lambda entry: [flip(entry / "model.onnx"), (entry / VERIFIED).write_text("{")],
    ],
)
def test_a_damaged_model_is_replaced(server: S3, cache: str, damage: Callable[[Path], Any]) -> None:
    parts = model(server)
    path = ModelCache(cache).obtain(parts)
    damage(Path(path))
    assert content(server, parts, ModelCache(cache).obtain(parts))


def test_a_model_that_only_looks_changed_is_kept(server: S3, cache: str) -> None:
    """After its content was hashed, and with the new metadata written."""
    parts = model(server)
    path = ModelCache(cache).obtain(parts)
    server.forget()
    before = (Path(path) / VERIFIED).read_text()
    os.utime(Path(path) / "model.onnx")
    ModelCache(cache).obtain(parts)
    assert (Path(path) / VERIFIED).read_text() != before
    assert server.asked == []


def test_metadata_of_before_a_restart_does_not_count(server: S3, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel had not written to the disk by then may be lost."""
    parts = model(server)
    ModelCache(cache).obtain(parts)
    monkeypatch.setattr("onnx_handler.storage.model_cache._boot_id", lambda: "another")
    hashed: list[object] = []
    real = download.mismatches
    monkeypatch.setattr("onnx_handler.storage.download.mismatches", lambda *args: hashed.append(args) or real(*args))
    ModelCache(cache).obtain(parts)
    assert len(hashed) == 1


def test_another_content_in_s3_is_never_served(server: S3, cache: str) -> None:
    parts = model(server)
    server.objects["0/weights/model.data"] = bytes(10_500)
    with pytest.raises(WrongContent, match=r"s3://models/0/weights/model.data is not what was deployed"):
        ModelCache(cache).obtain(parts)
    assert [path for path in Path(cache).iterdir() if not path.name.endswith("lock")] == []


# -- interruptions --------------------------------------------------------------------------------------------------


def test_a_download_that_failed_is_resumed(server: S3, cache: str) -> None:
    parts = model(server)
    server.fault = lambda handler, ask: ask.first >= 5000 and (refuse(handler, 503, "SlowDown", "") or True)
    with pytest.raises(SourceUnavailable):
        ModelCache(cache).obtain(parts)
    done = {(ask.key, ask.first) for ask in server.asked if ask.first < 5000}
    server.fault = None
    server.forget()
    assert content(server, parts, ModelCache(cache).obtain(parts))
    assert len({(ask.key, ask.first) for ask in server.asked} & done) < download.CONNECTIONS
    assert server.bytes_asked() < size_of(parts)


def test_damage_to_what_is_resumed_costs_a_second_download(server: S3, cache: str) -> None:
    parts = model(server)
    server.fault = lambda handler, ask: ask.first >= 5000 and (refuse(handler, 503, "SlowDown", "") or True)
    with pytest.raises(SourceUnavailable):
        ModelCache(cache).obtain(parts)
    server.fault = None
    (partial,) = Path(cache).glob(".*.partial")
    with (partial / "weights/model.data").open("r+b") as file:
        file.write(b"\xff" * 1000)
    assert content(server, parts, ModelCache(cache).obtain(parts))


OTHER_RANGES = "\n".join(map(str, range(100, 200)))


@pytest.mark.parametrize(
    "journal", ["", "1", "1000\n1\n9", "999\n0\n1\n", "x\ny\n", "1000\n\n", f"1000\n{OTHER_RANGES}\n"]
)
def test_a_journal_is_believed_as_far_as_it_goes(server: S3, cache: str, journal: str) -> None:
    parts = model(server)
    server.fault = lambda handler, ask: refuse(handler, 403, "AccessDenied", "") or True
    with pytest.raises(ModelUnusable, match="AccessDenied"):
        ModelCache(cache).obtain(parts)
    server.fault = None
    (partial,) = Path(cache).glob(".*.partial")
    (partial / JOURNAL).write_text(journal)
    assert content(server, parts, ModelCache(cache).obtain(parts))


def test_a_start_is_patient_and_what_comes_later_is_not(
    server: S3, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(s3, "LONGEST_DENIED_PAUSE", 0.02)
    parts = model(server)
    server.fault = lambda handler, ask: refuse(handler, 403, "AccessDenied", "") or True
    model_cache = ModelCache(cache, patience=0.5)
    started = time.monotonic()
    with pytest.raises(AccessDenied):
        model_cache.obtain(parts)
    assert 0.5 <= time.monotonic() - started < 2.5
    server.forget()
    with pytest.raises(AccessDenied):
        model_cache.obtain(parts)
    assert 1 <= len(server.asked) <= download.CONNECTIONS
    server.fault = None
    assert content(server, parts, model_cache.obtain(parts))


@pytest.mark.parametrize(
    ("kind", "seconds"), [(None, 5), ("on-demand", 5), ("provisioned-concurrency", 60), ("snap-start", 60)]
)
def test_patience_fits_the_start(kind: str | None, seconds: float) -> None:
    """Lambda ends an init phase after 10 s on demand; otherwise after 130 s, or the function's timeout if longer."""
    assert patience({} if kind is None else {"AWS_LAMBDA_INITIALIZATION_TYPE": kind}) == seconds


def test_leftovers_are_swept(server: S3, cache: str) -> None:
    for name in (f".{'a' * 64}.partial", ".trash.1.ab"):
        (Path(cache) / name / "sub").mkdir(parents=True)
        (Path(cache) / name / "sub" / "file").write_bytes(b"x")
    ModelCache(cache).obtain(model(server))
    assert not list(Path(cache).glob(".*.partial"))
    assert not list(Path(cache).glob(".trash*"))


# -- space ----------------------------------------------------------------------------------------------------------


def test_a_model_past_the_budget_is_told(server: S3, cache: str) -> None:
    with pytest.raises(DiskFull, match="MODEL_CACHE_SIZE"):
        ModelCache(cache, 5000).obtain(model(server))
    assert server.asked == []


def test_models_in_use_are_not_evicted(server: S3, cache: str) -> None:
    first, second = model(server, 1), model(server, 2)
    model_cache, other = ModelCache(cache, 15_000), ModelCache(cache, 15_000)
    path = model_cache.obtain(first)
    with pytest.raises(DiskFull, match="beside the models in use"):
        other.obtain(second)
    model_cache.release(first)
    assert content(server, second, other.obtain(second))
    assert not Path(path).exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    uses=st.lists(st.integers(0, 4), min_size=1, max_size=14),
    sizes=st.lists(st.integers(100, 4000), min_size=5, max_size=5),
    budget=st.integers(4100, 9000),
)
def test_eviction(
    server: S3, tmp_path_factory: pytest.TempPathFactory, uses: list[int], sizes: list[int], budget: int
) -> None:
    """The cache never holds more than its budget, has what was used last, and evicts only what was used longest ago."""
    server.objects.clear()
    cache = tmp_path_factory.mktemp("cache")
    every = [model(server, seed, size) for seed, size in enumerate(sizes)]
    held: list[int] = []  # as it should be, the longest unused first
    for use in uses:
        model_cache = ModelCache(str(cache), budget)
        assert content(server, every[use], model_cache.obtain(every[use]))
        model_cache.release(every[use])
        if use in held:
            held.remove(use)
        else:
            while sum(size_of(every[other]) for other in held) + size_of(every[use]) > budget:
                held.pop(0)
        held.append(use)
        found = [path for path in cache.iterdir() if not path.name.startswith(".")]
        assert len(found) == len(held)
        assert {(path / "model.onnx").read_bytes() for path in found} == {b"graph %d" % one for one in held}
        assert sum(size_of(every[one]) for one in held) <= budget


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting takes root")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_told_before_anything_is_downloaded(server: S3, small_disk: Path) -> None:
    with pytest.raises(DiskFull, match=r"no space for the model's 2 MB in .*No space left.*ephemeral storage"):
        ModelCache(str(small_disk / "cache")).obtain(model(server, size=2_000_000))
    assert server.asked == []
    parts = model(server)
    assert content(server, parts, ModelCache(str(small_disk / "cache")).obtain(parts))


def test_a_full_disk_makes_the_cache_smaller(server: S3, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RANGE", 100_000)
    model_cache = ModelCache(str(small_disk / "cache"))
    first, second = model(server, 1, 600_000), model(server, 2, 700_000)
    path = model_cache.obtain(first)
    model_cache.release(first)
    assert content(server, second, model_cache.obtain(second))
    assert not Path(path).exists()


def test_a_limit_on_a_file_is_a_full_disk(server: S3, cache: str) -> None:
    parts = model(server, size=100_000)
    program = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program, cache, json.dumps(document(parts))],
        env={**os.environ, "PYTHONPATH": str(ROOT / "runtime")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DiskFull: no space for the model's" in done.stderr


def test_a_directory_that_cannot_be_written_to_is_told(server: S3, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnusable, match="cannot be kept in"):
        ModelCache(str(tmp_path / "file" / "cache")).obtain(model(server))
