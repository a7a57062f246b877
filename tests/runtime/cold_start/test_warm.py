"""The warm event: recognised first, holds, touches, and is counted."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from onnx_handler.cold_start import warm
from onnx_handler.http import Handler
from tests.runtime.conftest import CONTEXT, Serve
from tests.support import models

DOCUMENT = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}


def ping(handler: Handler, context: Any = CONTEXT, **members: Any) -> dict[str, Any]:
    answered: dict[str, Any] = json.loads(
        json.dumps(handler.handle({"source": "cdk-onnx-inference.warmer", **members}, context))
    )
    return answered


def metrics(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [metric["Name"] for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]


def test_the_first_ping_finds_it_cold_and_the_next_warm(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_names", [])
    handler = serve(models.matmul(), AWS_LAMBDA_LOG_STREAM_NAME="2026/11/22/[1]abc").handler
    first, second = ping(handler), ping(handler, hold_ms=0, touch=False)
    assert (first.pop("held_ms") < 1000, second.pop("held_ms") < 1000) == (True, True)
    assert first == {"warm": False, "model_ready": True, "environment": "2026/11/22/[1]abc"}
    assert second == {**first, "warm": True}


def test_a_request_before_the_ping_has_warmed_it_too(serve: Serve) -> None:
    served = serve(models.matmul())
    assert served.infer(DOCUMENT)[0] == 200
    assert ping(served.handler)["warm"]


def test_a_request_after_the_ping_is_no_cold_start(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = serve(models.matmul())
    ping(served.handler)
    capsys.readouterr()
    served.infer(DOCUMENT)
    assert json.loads(capsys.readouterr().out)["coldStart"] is False


def test_without_a_log_stream_an_environment_makes_itself_a_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_LOG_STREAM_NAME", raising=False)
    handler = serve(models.matmul()).handler
    names = []
    for _ in range(2):  # two environments
        monkeypatch.setattr(warm, "_names", [])
        names += [{ping(handler)["environment"], ping(handler)["environment"]}]
    assert [len(name) for name in names] == [1, 1]
    assert names[0] != names[1]


def test_pings_at_once_each_hold_an_environment(serve: Serve) -> None:
    handlers = [serve(models.matmul()).handler for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda handler: ping(handler, hold_ms=60), handlers))
    assert all(answer["held_ms"] >= 60 for answer in answers)


def test_nothing_of_it_is_parsed(serve: Serve) -> None:
    answer = ping(serve(models.matmul()).handler, requestContext=3, headers={"a": 1}, body=7, isBase64Encoded="no")
    assert "notes" not in answer


@pytest.mark.parametrize("source", ["cdk-onnx-inference", "", None, 3, ["cdk-onnx-inference.warmer"]])
def test_another_source_is_none(serve: Serve, source: Any) -> None:
    assert serve(models.matmul()).handler.handle({"source": source}, CONTEXT)["statusCode"] == 400


def test_pings_are_counted(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    handler = serve(models.matmul(), METRICS_NAMESPACE="Mine").handler
    ping(handler)
    ping(handler)
    _, cold, warm_line = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line, name in ((cold, "WarmerPingCold"), (warm_line, "WarmerPingWarm")):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive == {
            "Namespace": "Mine",
            "Dimensions": [["FunctionName", "ModelName"]],
            "Metrics": [{"Name": name, "Unit": "Count"}],
        }
        assert line[name] == 1


def test_touching_runs_the_model_and_nothing_else_does(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    handler = serve(models.matmul()).handler
    ping(handler)
    assert metrics(capsys) == ["ModelLoad", "WarmerPingCold"]
    ping(handler, touch=True)
    assert metrics(capsys) == ["GoldenRun", "WarmerPingWarm"]


def test_a_model_that_cannot_load_is_told(serve: Serve) -> None:
    answer = ping(serve(None, MODEL_PATH="nowhere").handler, touch=True)
    assert (answer["warm"], answer["model_ready"]) == (False, False)


def test_an_environment_without_a_model_answers_too(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    assert ping(serve(None, MODEL_PATH="").handler)["model_ready"] is False
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("asked", "taken"),
    [(-1, 0), (10**30, 20), (30.0, 20), ("10", 0), (None, 0), (True, 0), (1.5, 0), ([], 0), (1e400, 0)],
)
def test_a_hold_that_cannot_be_is_put_right(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, asked: Any, taken: int
) -> None:
    monkeypatch.setattr(warm, "LONGEST_HOLD", 20)
    with caplog.at_level(logging.WARNING):
        answer = ping(serve(models.matmul()).handler, hold_ms=asked)
    assert answer["held_ms"] >= taken
    (note,) = answer["notes"]
    assert note.startswith("hold_ms is ")
    assert f"{taken} is taken" in note
    assert note in caplog.text


def test_a_touch_that_is_no_boolean_is_none(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ping(serve(models.matmul()).handler, touch="yes")
    assert answer["notes"] == ["touch is 'yes'; true or false is expected, false is taken"]
    assert "GoldenRun" not in metrics(capsys)


def test_a_hold_ends_before_the_functions_time_does(serve: Serve) -> None:
    context = SimpleNamespace(aws_request_id="id", get_remaining_time_in_millis=lambda: 520)
    answer = ping(serve(models.matmul()).handler, context, hold_ms=5000)
    assert 20 <= answer["held_ms"] < 5000
    assert answer["notes"] == ["hold_ms is 5000, and the function's timeout leaves 20, which is taken"]
