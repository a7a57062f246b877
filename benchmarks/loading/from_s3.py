"""Cold start of a model in S3: ranged downloads during the imports, against boto3's `download_file` and a session.

S3 is a process on loopback that waits 20 ms before each answer and sends at most 85 MB/s on a connection.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.contenders import http_event
from benchmarks.rounds import Chart, Figure, Result, interleaved, ratios
from benchmarks.runtime_api import first_answer

from . import models
from .large_model import SIZE
from .staging import COMMANDS, HANDLER, WITHOUT_PREFETCH, staged

LATENCY, RATE = "20", "85"
OURS, BOTO3, WITHOUT_FORK = HANDLER, "download_file", "without the fork"


def measure(shape: str, rounds: int, workplace: Path) -> Result:
    """Measures one shape of model."""
    place = workplace / "loading" / shape
    models.save(shape, SIZE, place)
    described = {"parts": list(models.parts(place / "prepared", "models"))}
    objects = json.dumps(described)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 8], "data": models.INPUT}
    request = http_event("/v2/models/model/infer", {"inputs": [tensor]})
    temporary = workplace / "loading" / "tmp"
    with _server(place / "prepared") as prepared, _server(place / "bare") as bare:
        arguments = {
            OURS: (staged(HANDLER, workplace), request, prepared, {"MODEL_OBJECTS": objects}),
            WITHOUT_FORK: (staged(WITHOUT_PREFETCH, workplace), request, prepared, {"MODEL_OBJECTS": objects}),
            BOTO3: (staged(BOTO3, workplace), {"x": models.INPUT}, bare, {}),
        }

        def cold_start(name: str) -> float:
            root, event, server, environment = arguments[name]
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            where = {"AWS_ENDPOINT_URL": server.url, "TMPDIR": str(temporary)}
            with first_answer(COMMANDS[root.name], root, event, {**environment, **where}) as answer:
                return answer.seconds * 1000

        for name in arguments:
            cold_start(name)  # brings everybody's files into the page cache
        samples = interleaved({name: partial(cold_start, name) for name in arguments}, rounds)
    shutil.rmtree(temporary)
    figures = [
        Figure(f"cold start from S3, {shape}", "download_file", ratios(samples, OURS, BOTO3)),
        Figure(f"cold start from S3, {shape}", "the same without the fork", ratios(samples, OURS, WITHOUT_FORK)),
    ]
    title = f"Cold start, {SIZE / 1e6:.0f} MB, {shape}, from S3"
    return Result(f"from_s3_{shape}", title, samples, "ms", figures, Chart(title, samples, OURS, "ms"))


class _server:  # noqa: N801 - a context manager
    def __init__(self, directory: Path) -> None:
        self._command = [sys.executable, str(Path(__file__).with_name("s3_server.py")), str(directory), LATENCY, RATE]

    def __enter__(self) -> _server:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
