"""The doctor finds nothing in what the library makes, except what is meant and said here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack

from cdk_onnx_inference import (
    ApiType,
    AsyncInference,
    ColdStart,
    InferenceApi,
    InferenceFunction,
    ModelSource,
    ProvisionedConcurrency,
    WarmerTrigger,
)
from onnx_inference.doctor.examination import examine, templates
from stacks.async_jobs import AsyncJobs
from stacks.large_model import LargeModel, Source
from stacks.realtime import Realtime
from tests.support import models, synth

Make = Callable[[App, Path], Stack]


def realtime(**options: Any) -> Make:
    return lambda app, path: Realtime(app, "Shop", model=ModelSource.in_image(path), **options)


def large(source: Source) -> Make:
    return lambda app, path: LargeModel(app, "Shop", path=path, source=source)


def jobs(**options: Any) -> Make:
    return lambda app, path: AsyncJobs(app, "Shop", path=path, **options)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(realtime(), id="realtime"),
        pytest.param(realtime(api_type=ApiType.rest_api()), id="rest"),
        pytest.param(realtime(cold_start=ColdStart.warmer(concurrency=2)), id="warmer"),
        pytest.param(realtime(cold_start=ColdStart.warmer(trigger=WarmerTrigger.RULE)), id="warmer by rule"),
        pytest.param(
            realtime(cold_start=ColdStart.provisioned(ProvisionedConcurrency(max_capacity=5))), id="provisioned"
        ),
        pytest.param(realtime(cold_start=ColdStart.snap_start()), id="snap-start"),
        *[pytest.param(large(source), id=f"large {source.value}") for source in Source],
        pytest.param(jobs(), id="jobs"),
        pytest.param(jobs(source=Source.EFS, cold_start=ColdStart.provisioned()), id="jobs efs"),
    ],
)
def test_prebuilt_stacks(tmp_path: Path, make: Make) -> None:
    app = synth.new_app(tmp_path / "cdk.out")
    make(app, models.save_package(tmp_path / "digits"))
    app.synth()
    (template,) = templates(tmp_path / "cdk.out")
    assert [str(finding) for finding in examine(template)] == []


def test_what_is_let_through_with_a_warning_of_its_own_is_found(tmp_path: Path) -> None:
    """A function that outlives its API is a user's choice, which synth warns of, and the doctor too."""
    app = synth.new_app(tmp_path / "cdk.out")
    stack = Stack(app, "Shop")
    model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))
    function = InferenceFunction(stack, "Digits", model=model, timeout=Duration.minutes(5))
    InferenceApi(stack, "Api", function=function)
    AsyncInference(stack, "Jobs", function=function, max_concurrency=5, reserved_concurrent_executions=5)
    app.synth()
    (template,) = templates(tmp_path / "cdk.out")
    assert {finding.code for finding in examine(template)} == {"api-timeout"}
