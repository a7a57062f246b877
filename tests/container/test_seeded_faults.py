"""Mistakes put in on purpose: each must be seen for what it is, within seconds and with words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.container.conftest import EXAMPLES, StageContext, Start
from tests.container.engine import Engine
from tests.support import events

Variant = Callable[[str], str]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("onnx_handler.htttp.handler", "No module named 'onnx_handler.htttp'"),
        ("onnx_handler.http.handle", "Handler 'handle' missing on module 'onnx_handler.http'"),
        ("handler", "Bad handler 'handler'"),
    ],
)
def test_a_wrong_command(start: Start, command: str, says: str) -> None:
    outcome = start(command=[command]).first
    assert outcome["kind"] == "init error"
    assert says in outcome["body"]["errorMessage"]


def test_a_command_in_shell_form(start: Start, variant: Variant) -> None:
    outcome = start(variant("CMD onnx_handler.http.handler")).first
    assert outcome == {"kind": "exit", "body": 142}


def ready(container: object) -> tuple[int, str]:
    answer = container.invoke(events.http_api("GET", "/v2/health/ready", {}, b""))["body"]  # type: ignore[attr-defined]
    return answer["statusCode"], json.loads(answer["body"]).get("error", "")


def test_a_missing_model(start: Start, variant: Variant) -> None:
    status, error = ready(start(variant("RUN rm -r /var/task/model")))
    assert (status, "there is no model" in error) == (503, True)


def test_an_unreadable_model(start: Start, variant: Variant) -> None:
    status, error = ready(start(variant("RUN chmod 0600 /var/task/model/model.onnx")))
    assert (status, "not readable by this function's user (uid 993)" in error) == (503, True)


def test_a_model_without_its_weights(start: Start, engine: Engine, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    made = onnx.load(EXAMPLES / "digits" / "model.onnx")
    onnx.save(made, model / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    (model / "weights").unlink()
    status, error = ready(start(mounts={model: "/var/task/model"}))
    assert status == 503
    assert "external" in error


def test_numpy_left_out(start: Start, variant: Variant) -> None:
    outcome = start(variant("RUN rm -r /var/task/numpy")).first
    assert outcome["kind"] == "init error"
    assert "numpy" in outcome["body"]["errorMessage"]


def test_a_module_left_out_of_the_context(engine: Engine, stage_context: StageContext, tmp_path: Path) -> None:
    context = tmp_path / "context"
    shutil.copytree(stage_context(EXAMPLES / "digits" / "model.onnx"), context)
    shutil.rmtree(context / "model")
    with pytest.raises(AssertionError, match="model"):
        engine.build("localhost/incomplete", context)


def test_memory_that_does_not_suffice(start: Start) -> None:
    container = start(memory_mb=24)
    event = events.http_api("POST", "/v2/models/digits/infer", {}, json.dumps([0.5] * 1_000_000).encode())
    outcome = container.first if container.first["kind"] == "exit" else container.invoke(event)
    assert outcome["kind"] == "exit"
    assert outcome["body"] != 0
    assert not Path("oom").exists()  # conmon's, and in the engine's own directory
