"""The embedded-metric lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.runtime.conftest import Serve
from tests.support import models

DOCUMENT = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_loading_and_each_phase_are_measured(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = serve(models.matmul(), METRICS_NAMESPACE="Mine", MODEL_DIGEST="sha256:abc")
    served.infer(DOCUMENT)
    served.infer(DOCUMENT)
    loaded, first, _, second = lines(capsys)
    assert loaded["ModelLoad"] > 0
    assert (first["coldStart"], second["coldStart"]) == (True, False)
    assert first["requestId"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert (first["status"], first["modelDigest"]) == (200, "sha256:abc")
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Mine"
    assert directive["Dimensions"] == [["FunctionName", "ModelName"]]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert names == ["Decode", "Preprocess", "Validate", "Predict", "Postprocess", "Encode"]
    assert all(isinstance(first[name], float) for name in names)
    assert {first[name] for name in directive["Dimensions"][0]} == {"digits", "model"}


def test_a_failed_inference_declares_only_what_it_measured(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve(models.matmul()).infer({"inputs": []})
    _, failed, _ = lines(capsys)
    assert failed["status"] == 400
    assert [metric["Name"] for metric in failed["_aws"]["CloudWatchMetrics"][0]["Metrics"]] == ["Decode"]


def test_health_checks_write_no_line(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = serve(models.matmul())
    served.get("/v2/health/ready")
    lines(capsys)
    served.get("/v2/health/ready")
    assert lines(capsys) == []


def test_a_cold_start_is_counted_once_with_its_time(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    served = serve(models.matmul())
    served.get("/v2/health/ready")  # whatever the first request is, it met the cold start
    served.infer(DOCUMENT)
    (started,) = [line for line in lines(capsys) if "ColdStart" in line]
    assert started["ColdStart"] == 1
    assert 0 < started["InitDuration"] < 3_600_000
    (directive,) = started["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["FunctionName"]]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["ColdStart", "InitDuration"]


def test_nobody_waited_for_an_environment_that_was_started_ahead(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(models.matmul(), AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency").infer(DOCUMENT)
    assert [line for line in lines(capsys) if "ColdStart" in line] == []
