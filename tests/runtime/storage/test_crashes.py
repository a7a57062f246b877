"""Processes killed in the middle of a download, or a publication: what is there afterwards is whole, or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnx_handler.model_objects import Part, digest_of
from onnx_handler.storage.download import CONNECTIONS
from onnx_handler.storage.model_cache import VERIFIED
from tests.support.s3 import S3, document, serving
from tests.support.synth import ROOT

# Both begin with their imports done, so that the moments of the kills are those of the work.
DOWNLOAD = """
import json, sys
from onnx_handler.storage import download
from onnx_handler.storage.model_cache import ModelCache
from onnx_handler.model_objects import parse
download.RANGE = 20_000
parts = parse("parts", json.loads(sys.argv[2]))
print("ready", flush=True)
ModelCache(sys.argv[1]).obtain(parts)
"""
PUBLISH = """
import json, sys
from onnx_handler.storage import download
from onnx_handler.publish import publish
download.RANGE = 20_000
print("ready", flush=True)
publish(json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serving() as server:
        server.pause = 0.002  # 64 KB at a time: the 1.5 MB below take a tenth of a second
        yield server


def model(server: S3, seed: int) -> tuple[Part, ...]:
    weights = (b"%08d" % seed) * (1_500_000 // 8)
    return server.put({"model.onnx": b"graph %d" % seed, "model.onnx.data": weights}, prefix=f"{seed}/")


def started(program: str, server: S3, *arguments: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **server.environment, "PYTHONPATH": str(ROOT / "runtime")},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def run(program: str, server: S3, *arguments: str, kill_after: float | None = None) -> int:
    process = started(program, server, *arguments)
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    return process.wait(30)


def whole(directory: Path, server: S3, parts: tuple[Part, ...]) -> bool:
    return all((directory / part.path).read_bytes() == server.objects[part.key] for part in parts)


def test_a_download_killed_at_many_points(server: S3, tmp_path: Path) -> None:
    parts = model(server, 1)
    text = json.dumps(document(parts))
    cache = tmp_path / "cache"
    killed = finished = 0
    for point in range(24):
        code = run(DOWNLOAD, server, str(cache), text, kill_after=0.008 * (point % 12))
        killed += code == -signal.SIGKILL
        for entry in cache.glob("[0-9a-f]*"):
            assert whole(entry, server, parts)
            assert (entry / VERIFIED).exists()
            finished += 1
            if point < 20:  # begin again, with what was there in the way
                entry.rename(cache / f".trash.{point}")
    assert killed > 10
    server.forget()
    assert run(DOWNLOAD, server, str(cache), text) == 0
    (entry,) = cache.glob("[0-9a-f]*")
    assert whole(entry, server, parts)
    assert {path.name for path in cache.iterdir() if not path.name.endswith("lock")} <= {
        entry.name,
        *(f".trash.{point}" for point in range(24)),
    }


def test_a_killed_download_is_resumed(server: S3, tmp_path: Path) -> None:
    parts = model(server, 2)
    text = json.dumps(document(parts))
    journal: list[str] = []
    while len(journal) < 12:
        assert run(DOWNLOAD, server, str(tmp_path), text, kill_after=0.03) == -signal.SIGKILL
        (file,) = tmp_path.glob(".*.partial/.journal")
        journal = file.read_text().split()
    server.forget()
    assert run(DOWNLOAD, server, str(tmp_path), text) == 0
    assert len(server.asked) <= 77 - (len(journal) - 1)


def test_who_waits_takes_over_from_who_is_killed(server: S3, tmp_path: Path) -> None:
    """Two cold starts at once: what the first has downloaded by its end is not downloaded again."""
    parts = model(server, 3)
    text = json.dumps(document(parts))
    server.forget()
    dead = threading.Event()
    server.fault = lambda handler, ask: len(server.asked) > 20 and not dead.wait(30)
    first = started(DOWNLOAD, server, str(tmp_path), text)
    while len(server.asked) <= 20:
        assert first.poll() is None
        time.sleep(0.001)
    second = started(DOWNLOAD, server, str(tmp_path), text)
    time.sleep(0.1)  # it waits by now
    first.send_signal(signal.SIGKILL)
    dead.set()
    assert [process.wait(30) for process in (first, second)] == [-signal.SIGKILL, 0]
    server.fault = None
    (entry,) = tmp_path.glob("[0-9a-f]*")
    assert whole(entry, server, parts)
    # Of the first's requests those count twice that were under way.
    assert len(server.asked) <= 77 + CONNECTIONS


def test_a_publication_killed_at_many_points(server: S3, tmp_path: Path) -> None:
    mount = tmp_path / "mnt"
    published: list[Path] = []
    killed = 0
    for point in range(20):
        parts = model(server, 100 + point % 4)
        digest = digest_of(parts, manifest=True)
        text = json.dumps(document(parts))
        properties = {"PackageDigest": digest, "Parts": text, "MountPath": str(mount), "Keep": "2"}
        code = run(PUBLISH, server, "", json.dumps(properties), kill_after=0.015 * (point % 10))
        killed += code == -signal.SIGKILL
        for entry in mount.glob("[0-9a-f]*"):
            (seed,) = {(entry / "model.onnx").read_text().split()[1]}
            assert whole(entry, server, model(server, int(seed)))
        if point % 5 == 4:  # and then one that is left alone: a retry, or a rollback
            assert run(PUBLISH, server, "", json.dumps(properties)) == 0
            current = mount / digest.removeprefix("sha256:")
            assert whole(current, server, parts)
            published = [path for path in [*published, current] if path != current or path is current][-2:]
            assert len(list(mount.glob("[0-9a-f]*"))) <= 2
            assert all(path.exists() for path in published)
    assert killed > 8
