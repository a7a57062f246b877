"""Processes killed before each single step of a download, and of a publication, one step after the other.

The steps are those that change something in the file system: what Python's audit events tell of, and the writes, which
they do not. Between two of them nothing changes. `test_crashes.py` kills by the clock, in the middle of steps too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onnx_handler.model_objects import Part, digest_of, size_of
from onnx_handler.storage.model_cache import VERIFIED
from tests.support.s3 import S3, document, serving
from tests.support.synth import ROOT

# Forks for each order, so that the imports are done once. An order is a step to be killed before, and a job.
SERVANT = """
import json, os, signal, sys
from onnx_handler import publish
from onnx_handler.storage import download, model_cache, s3
from onnx_handler.model_objects import parse
download.RANGE, download.CONNECTIONS = 4000, 2
CHANGES = {f"os.{name}" for name in ("mkdir", "rename", "remove", "rmdir", "truncate", "utime", "chmod")}

def kill_before(step):
    left = [step]
    def point():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def hear(event, told):
        if event in CHANGES or (event == "open" and told[2] & (os.O_CREAT | os.O_TRUNC)):
            point()
    sys.addaudithook(hear)
    for name in ("write", "pwrite", "posix_fallocate"):
        setattr(os, name, lambda *args, real=getattr(os, name): (point(), real(*args))[1])

def work(job):
    if "publish" in job:
        publish.publish(job["publish"])
    else:
        model_cache.ModelCache(job["cache"], job["budget"]).obtain(parse("parts", job["parts"]))

for line in sys.stdin:
    step, job = json.loads(line)
    child = os.fork()
    if not child:
        kill_before(step)
        work(job)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
NEVER = 0
MOST = 200  # steps; the longest job has fewer

Job = dict[str, Any]


class Servant:
    """Does jobs in processes that are killed before a step of them, or not."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVANT],
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT / "runtime")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ends(self, job: Job, step: int = NEVER) -> bool:
        """Whether the job came to its end before that step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([step, job])}\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        return code == 0

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def servant(server: S3) -> Iterator[Servant]:
    servant = Servant(server.environment)
    yield servant
    servant.close()


def model(server: S3, seed: int) -> tuple[Part, ...]:
    files = {"model.onnx": b"graph %d" % seed, "model.onnx.data": b"%08d" % seed * 1100, "manifest.json": b"{}"}
    return server.put(files, prefix=f"{seed}/")


def whole(directory: Path, server: S3, parts: tuple[Part, ...]) -> bool:
    return all((directory / part.path).read_bytes() == server.objects[part.key] for part in parts)


def at_each_step(servant: Servant, job: Job, place: Path, begin: Path, check: Callable[[bool], None]) -> int:
    """Has the job killed before its first step, its second, and so on, each time from the same beginning.

    Args:
        servant: Does it.
        job: What to do.
        place: Where it is done.
        begin: What is there at the beginning.
        check: Called when the process is dead, and again when the job was then done undisturbed; with which of both.

    Returns:
        How many steps there were.
    """
    for step in range(1, MOST):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(begin, place)
        ended = servant.ends(job, step)
        check(ended)
        assert servant.ends(job)
        check(True)
        if ended:
            return step - 1
    raise AssertionError("it does not end")


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


# -- the cache below /tmp ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", ["empty", "interrupted", "damaged", "full"])
def test_a_download(begin: str, server: S3, servant: Servant, tmp_path: Path) -> None:
    """From an empty cache; from half a download; over an entry that is damaged; and where another has to make place."""
    place, before = tmp_path / "cache", tmp_path / "before"
    before.mkdir()
    parts, other = model(server, 1), model(server, 2)
    key = digest_of(parts, manifest=True).removeprefix("sha256:")
    job: Job = {"cache": str(before), "budget": None, "parts": document(parts)}
    if begin == "interrupted":
        for step in range(1, MOST):
            assert not servant.ends(job, step)
            if any(len(file.read_text().split()) > 2 for file in before.glob(".*.partial/.journal")):
                break
    elif begin == "damaged":
        assert servant.ends(job)
        flip(before / key / "model.onnx.data")
    elif begin == "full":
        assert servant.ends({**job, "parts": document(other)})
        job["budget"] = size_of(parts) + 100
    job["cache"] = str(place)

    def check(ended: bool) -> None:
        for entry in place.glob("[0-9a-f]*"):
            assert (entry / VERIFIED).exists()
            if entry.name != key:
                assert whole(entry, server, other)
            elif ended or begin != "damaged":
                assert whole(entry, server, parts)
        assert (place / key).exists() or not ended

    assert at_each_step(servant, job, place, before, check) > 10


# -- a mount ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", ["empty", "damaged", "full"])
def test_a_publication(begin: str, server: S3, servant: Servant, tmp_path: Path) -> None:
    """On an empty mount; over a model that is damaged; and where the oldest of two has to go."""
    place, before = tmp_path / "mnt", tmp_path / "before"
    before.mkdir()
    models = {digest_of(parts, manifest=True).removeprefix("sha256:"): parts for parts in three_models(server)}
    *others, name = models

    def publication(name: str, mount: Path) -> Job:
        properties = {"PackageDigest": f"sha256:{name}", "MountPath": str(mount), "Keep": "2"}
        return {"publish": {**properties, "Parts": json.dumps(document(models[name]))}}

    if begin == "damaged":
        assert servant.ends(publication(name, before))
        flip(before / name / "model.onnx.data")
        (before / name / "model.onnx").unlink()
    elif begin == "full":
        assert all(servant.ends(publication(other, before)) for other in others)

    def check(ended: bool) -> None:
        found = {entry.name for entry in place.glob("[0-9a-f]*")}
        for entry in found:
            if ended or (begin, entry) != ("damaged", name):
                assert whole(place / entry, server, models[entry])
        if begin == "full":
            assert others[-1] in found, "what an older version of the function serves"
        if ended:
            assert name in found
            assert len(found) <= 2

    assert at_each_step(servant, publication(name, place), place, before, check) > 10


def three_models(server: S3) -> list[tuple[Part, ...]]:
    return [model(server, seed) for seed in (11, 12, 13)]
