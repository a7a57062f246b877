"""A function with a choice about cold starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import Stack, TimeZone

from cdk_onnx_inference import ColdStart, InferenceFunction, ModelSource
from tests.support import synth

Make = Callable[..., InferenceFunction]
BERLIN = TimeZone.of("Europe/Berlin")


@pytest.fixture
def make(stack: Stack, model: ModelSource) -> Make:
    def function(cold_start: ColdStart | None = None, **options: Any) -> InferenceFunction:
        return InferenceFunction(stack, "Digits", **{"model": model, "cold_start": cold_start, **options})

    return function


def alias_id(stack: Stack) -> str:
    template = synth.template_of(stack)
    (found,) = (name for name, made in template["Resources"].items() if made["Type"] == "AWS::Lambda::Alias")
    return str(found)
