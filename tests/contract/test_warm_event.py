"""The warm event: a schedule of the constructs sends what the handler recognises and the twin counts as a ping."""

from __future__ import annotations

import json
from pathlib import Path

from aws_cdk import Duration, Stack

from cdk_onnx_inference import ColdStart, InferenceFunction, ModelSource
from cdk_onnx_inference.cold_start import _warmer_validation, warmer
from onnx_handler.cold_start import warm
from onnx_handler.protocol import events
from onnx_inference.local.lambda_host import host
from tests.support import models, synth


def test_the_event_is_what_the_handler_recognises(tmp_path: Path) -> None:
    stack = Stack(synth.new_app(tmp_path / "cdk.out"), "Shop")
    InferenceFunction(
        stack,
        "Digits",
        model=ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits")),
        cold_start=ColdStart.warmer(hold=Duration.millis(1500), touch=True),
    )
    target = synth.only(synth.template_of(stack), "AWS::Scheduler::Schedule")["Target"]
    event = json.loads(target["Input"])
    assert event == {"source": events.WARMER, "hold_ms": 1500, "touch": True}


def test_names_and_limits_are_the_same() -> None:
    assert warmer.EVENT_SOURCE == events.WARMER == host.WARMER_SOURCE
    assert _warmer_validation.MAX_HOLD_MS == warm.LONGEST_HOLD
