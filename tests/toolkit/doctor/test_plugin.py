"""The checks as a plugin of the real CDK's validation, on stacks that CDK itself lets through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import App, Duration, Stack, Validations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import ModelSource
from onnx_inference.doctor.plugin import ServerlessInferenceChecks
from stacks.realtime import Realtime
from tests.support import models, synth


def app_with_queue(outdir: Path, *, visibility: int, checks: ServerlessInferenceChecks | None) -> App:
    app = synth.new_app(outdir)
    stack = Stack(app, "Shop")
    function = lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): pass"),
        timeout=Duration.seconds(60),
    )
    queue = sqs.Queue(stack, "Queue", visibility_timeout=Duration.seconds(visibility))
    function.add_event_source(event_sources.SqsEventSource(queue))
    if checks is not None:
        Validations.of(app).add_plugins(checks)
    return app


def test_cdk_itself_lets_it_through(tmp_path: Path) -> None:
    app_with_queue(tmp_path, visibility=30, checks=None).synth()


def test_an_error_fails_the_synth(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?i)validation"):
        app_with_queue(tmp_path, visibility=30, checks=ServerlessInferenceChecks()).synth()
    report = (tmp_path / "validation-report.json").read_text()
    assert "queue-visibility-timeout" in report
    assert "360 or more" in report


def test_a_warning_is_reported(tmp_path: Path) -> None:
    app_with_queue(tmp_path, visibility=120, checks=ServerlessInferenceChecks()).synth()
    report = json.loads((tmp_path / "validation-report.json").read_text())
    assert "queue-visibility-timeout" in json.dumps(report)


def test_a_warning_fails_when_strict(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?i)validation"):
        app_with_queue(tmp_path, visibility=120, checks=ServerlessInferenceChecks(strict=True)).synth()


def test_left_out(tmp_path: Path) -> None:
    codes = ["queue-visibility-timeout", "queue-without-dead-letter-queue", "batch-item-failures"]
    app_with_queue(tmp_path, visibility=30, checks=ServerlessInferenceChecks(ignore=codes, strict=True)).synth()


def test_no_such_check() -> None:
    with pytest.raises(ValueError, match=r"no such check: \['queue'\]"):
        ServerlessInferenceChecks(ignore=["queue"])


def test_a_prebuilt_stack_passes(tmp_path: Path) -> None:
    app = synth.new_app(tmp_path / "cdk.out")
    model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))
    Realtime(app, "Realtime", model=model)
    Validations.of(app).add_plugins(ServerlessInferenceChecks(strict=True))
    app.synth()
