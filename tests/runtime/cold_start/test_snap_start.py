"""SnapStart with the real awslambdaric: what is done before the snapshot, and in each environment after it."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support import events, models, s3
from tests.support.lambda_process import environment

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("awslambdaric") is None, reason="awslambdaric is there for Linux only"
)

SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start", "MODEL_PATH": "model"}
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
INFER = events.http_api("POST", "/v2/models/model/infer", {}, BODY)

PROCESSING = """
import random, sys
import numpy

random.seed(7)
numpy.random.seed(7)
LIKE_BEFORE = (random.Random(7).random(), numpy.random.RandomState(7).rand())

def preprocess(request):
    return request.inputs

def before_snapshot():
    print("before the snapshot")

def after_restore():
    now = (random.random(), numpy.random.rand())
    print("after the restore, fresh:", [new != old for new, old in zip(now, LIKE_BEFORE)])
"""


def made(tmp_path: Path, processing: str | None = None) -> dict[str, str]:
    models.save(models.matmul(), tmp_path / "model")
    if processing is None:
        return SNAP_START
    (tmp_path / "processing.py").write_text(processing)
    return {**SNAP_START, "PROCESSING_PATH": "processing.py"}


def data(answer: Any) -> Any:
    return json.loads(answer["body"])["outputs"][0]["data"]


def test_the_model_has_run_before_the_snapshot_and_answers_after_it(tmp_path: Path) -> None:
    with environment(tmp_path, made(tmp_path, PROCESSING)) as lambda_:
        lambda_.next_call("/restore/next")
        assert lambda_.events.empty()
        lambda_.restored.set()
        lambda_.next_call("/invocation/next")
        answer = lambda_.answer(INFER)
        assert (answer["statusCode"], data(answer)) == (200, [60.0, 70.0, 80.0])
    log = "".join(lambda_.log)
    order = [log.index(what) for what in ('"ModelLoad"', '"GoldenRun"', "before the snapshot", "after the restore")]
    assert order == sorted(order), log
    assert "after the restore, fresh: [True, True]" in log
    assert "is open while the snapshot is taken" not in log


def test_a_restored_environment_answers_warm_events(tmp_path: Path) -> None:
    with environment(tmp_path, made(tmp_path)) as lambda_:
        lambda_.next_call("/restore/next")
        lambda_.restored.set()
        lambda_.next_call("/invocation/next")
        ping = {"source": "cdk-onnx-inference.warmer"}
        first, second = lambda_.answer(ping), lambda_.answer(ping)
    assert re.fullmatch("[0-9a-f]{32}", first["environment"])
    assert (first["warm"], second["warm"]) == (False, True)
    assert first["environment"] == second["environment"]


def test_a_connection_that_stays_open_is_told(tmp_path: Path) -> None:
    processing = f"""
import os, socket
KEPT = socket.create_connection(os.environ["AWS_LAMBDA_RUNTIME_API"].split(":"))
{PROCESSING}"""
    with environment(tmp_path, made(tmp_path, processing)) as lambda_:
        lambda_.next_call("/restore/next")
    port = lambda_.server_port
    assert f"a connection to 127.0.0.1:{port} is open while the snapshot is taken" in "".join(lambda_.log)


def test_a_hook_that_closes_it_is_enough(tmp_path: Path) -> None:
    processing = """
import os, socket
KEPT = socket.create_connection(os.environ["AWS_LAMBDA_RUNTIME_API"].split(":"))

def preprocess(request):
    return request.inputs

def before_snapshot():
    KEPT.close()
"""
    with environment(tmp_path, made(tmp_path, processing)) as lambda_:
        lambda_.next_call("/restore/next")
    assert "is open while the snapshot is taken" not in "".join(lambda_.log)


def test_a_hook_that_raises_before_the_snapshot_fails_the_version(tmp_path: Path) -> None:
    processing = "def preprocess(request): ...\ndef before_snapshot():\n    raise OSError('no use')\n"
    with environment(tmp_path, made(tmp_path, processing)) as lambda_:
        assert lambda_.next_call("/init/error")["errorMessage"] == "no use"
        assert lambda_.process.wait(30) == 64


def test_a_hook_that_raises_after_the_restore_fails_the_environment(tmp_path: Path) -> None:
    processing = "def preprocess(request): ...\ndef after_restore():\n    raise OSError('no use')\n"
    with environment(tmp_path, made(tmp_path, processing)) as lambda_:
        lambda_.next_call("/restore/next")
        lambda_.restored.set()
        assert lambda_.next_call("/restore/error")["errorMessage"] == "no use"
        assert lambda_.process.wait(30) == 65


def test_a_hook_that_is_no_function_makes_the_model_unusable(tmp_path: Path) -> None:
    processing = "def preprocess(request): ...\nafter_restore = 3\n"
    with environment(tmp_path, made(tmp_path, processing)) as lambda_:
        lambda_.next_call("/restore/next")
        lambda_.restored.set()
        lambda_.next_call("/invocation/next")
        answer = lambda_.answer(INFER)
    assert answer["statusCode"] == 503
    assert "after_restore of the processing file" in answer["body"]


def test_a_model_from_s3_is_whole_and_nobody_is_connected(tmp_path: Path) -> None:
    directory = models.save(models.matmul(), tmp_path / "source")
    with s3.serving() as server:
        parts = server.put({"model.onnx": (directory / "model.onnx").read_bytes()})
        variables = {
            **server.environment,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "MODEL_OBJECTS": json.dumps(s3.document(parts)),
            "TMPDIR": str(tmp_path),
        }
        with environment(tmp_path, variables) as lambda_:
            lambda_.next_call("/restore/next")
            asked = server.bytes_asked()
            lambda_.restored.set()
            lambda_.next_call("/invocation/next")
            answer = lambda_.answer(INFER)
        assert data(answer) == [60.0, 70.0, 80.0]
        assert server.bytes_asked() == asked == parts[0].size
    log = "".join(lambda_.log)
    assert '"GoldenRun"' in log
    assert "is open while the snapshot is taken" not in log


def test_a_source_that_did_not_answer_is_asked_again_at_once_after_the_restore(tmp_path: Path) -> None:
    directory = models.save(models.matmul(), tmp_path / "source")
    with s3.serving() as server:
        parts = server.put({"model.onnx": (directory / "model.onnx").read_bytes()})

        def busy(handler: Any, ask: s3.Ask) -> bool:
            s3.refuse(handler, 503, "SlowDown", "Please reduce your request rate.")
            return True

        server.fault = busy
        variables = {
            **server.environment,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "MODEL_OBJECTS": json.dumps(s3.document(parts)),
            "TMPDIR": str(tmp_path),
        }
        with environment(tmp_path, variables) as lambda_:
            lambda_.next_call("/restore/next")
            server.fault = None
            lambda_.restored.set()
            lambda_.next_call("/invocation/next")
            assert data(lambda_.answer(INFER)) == [60.0, 70.0, 80.0]
