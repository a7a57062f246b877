"""How much is done before the first event, by how Lambda initialises the environment."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from onnx_handler.models import golden_run
from onnx_handler.models.model import Model
from tests.runtime.conftest import Serve
from tests.support import models

AHEAD = ["provisioned-concurrency", "lambda-managed-instances"]


def names(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [metric["Name"] for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What models are run on."""
    seen = []
    run = Model.run

    def recorded(self: Model, given: Any) -> Any:
        seen.append(given)
        return run(self, given)

    monkeypatch.setattr(Model, "run", recorded)
    return seen


def package(directory: Path, **samples: np.ndarray[Any, Any]) -> None:
    goldens = models.save(models.matmul(), directory / "model") / "goldens"
    goldens.mkdir()
    np.savez(goldens / "0.inputs.npz", **samples)
    index = {"samples": [{"inputs": "0.inputs.npz", "outputs": "0.outputs.npz"}, {"inputs": "1", "outputs": "1"}]}
    (goldens / "goldens.json").write_text(json.dumps(index))


@pytest.mark.parametrize("kind", ["on-demand", "", "something new"])
def test_on_demand_nothing_is_run(serve: Serve, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    serve(models.matmul(), AWS_LAMBDA_INITIALIZATION_TYPE=kind)
    assert names(capsys) == ["ModelLoad"]


@pytest.mark.parametrize("kind", AHEAD)
def test_ahead_the_model_makes_a_run(serve: Serve, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    served = serve(models.matmul(), AWS_LAMBDA_INITIALIZATION_TYPE=kind)
    assert names(capsys) == ["ModelLoad", "GoldenRun"]
    assert served.get("/v2/health/ready")[0] == 200


def test_every_model_that_is_in_memory_runs(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path, inputs: list[Any]
) -> None:
    for name in ("a", "b"):
        models.save(models.matmul(), tmp_path / name)
    both = json.dumps([{"name": name, "path": name} for name in ("a", "b")])
    serve(None, MODELS=both, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert names(capsys) == ["ModelLoad", "ModelLoad", "GoldenRun", "GoldenRun"]
    assert len(inputs) == 2


def test_it_runs_on_the_packages_first_sample(serve: Serve, tmp_path: Path, inputs: list[Any]) -> None:
    package(tmp_path, x=np.full((2, 4), 7, np.float32))
    serve(None, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert inputs[0]["x"].tolist() == [[7.0] * 4] * 2


def test_a_package_made_by_prepare_has_such_samples(
    serve: Serve, tmp_path: Path, inputs: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    from onnx_inference.prepare.model_package import write_goldens

    directory = models.save(models.identity(TensorProto.STRING, [2]), tmp_path / "model")
    feed = {"x": np.array(["a", "ü"], dtype=object)}
    write_goldens(directory, [feed], [feed], {}, at_most=1000)
    serve(None, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert inputs[0]["x"].tolist() == ["a", "ü"]
    assert caplog.text == ""


def test_goldens_that_cannot_be_read_are_told_and_replaced(
    serve: Serve, tmp_path: Path, inputs: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    package(tmp_path, x=np.zeros((1, 4), np.float32))
    (tmp_path / "model" / "goldens" / "0.inputs.npz").write_bytes(b"no archive")
    serve(None, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert inputs[0]["x"].tolist() == [[0.0] * 4]
    assert "its goldens cannot be read" in caplog.text


@pytest.mark.parametrize(
    "element", [TensorProto.STRING, TensorProto.BOOL, TensorProto.INT64, TensorProto.FLOAT16, TensorProto.BFLOAT16]
)
@pytest.mark.parametrize("shape", [[], ["n"], ["n", 3]])
def test_an_input_is_made_of_any_signature(
    serve: Serve, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, element: int, shape: Any
) -> None:
    serve(models.identity(element, shape), AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert names(capsys) == ["ModelLoad", "GoldenRun"]
    assert caplog.text == ""


def test_a_run_that_fails_is_told_and_ends_nothing(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    package(tmp_path, other=np.zeros((1, 4), np.float32))
    served = serve(None, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert "its golden run failed: input 'other' is not one of the model's" in caplog.text
    assert names(capsys) == ["ModelLoad"]
    assert served.get("/v2/health/ready")[0] == 200


def test_what_is_not_finite_is_told(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    divide = models.model(
        [models.helper.make_node("Div", ["x", "x"], ["y"])],
        [models.tensor("x", TensorProto.FLOAT, [2])],
        [models.tensor("y", TensorProto.FLOAT, [2])],
    )
    serve(divide, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert "output 'y' of its golden run, on zeros, is not finite" in caplog.text


def test_the_processing_file_is_not_asked(serve: Serve, inputs: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    processing = "def preprocess(request):\n    raise RuntimeError('made-up input')\n"
    serve(models.matmul(), processing, AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert len(inputs) == 1
    assert caplog.text == ""


def test_a_model_that_did_not_load_is_left_alone(
    serve: Serve, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, golden_run.__name__):
        served = serve(None, MODEL_PATH="nowhere", AWS_LAMBDA_INITIALIZATION_TYPE=AHEAD[0])
    assert names(capsys) == []
    assert served.get("/v2/health/ready")[0] == 503
