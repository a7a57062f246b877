"""What `ColdStart.provisioned` makes, and which values it accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack, Token
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import (
    ColdStart,
    InferenceFunction,
    ModelSource,
    ProvisionedConcurrency,
    ProvisionedSchedule,
    UtilizationStatistic,
)
from tests.constructs.cold_start.conftest import BERLIN, Make, alias_id
from tests.constructs.conftest import Codes, properties, warnings
from tests.support import models, synth

DAY = autoscaling.Schedule.cron(hour="8", minute="0")


def test_one_provisioned_environment_by_default(make: Make, stack: Stack) -> None:
    service = make(ColdStart.provisioned())
    (alias,) = properties(stack, "AWS::Lambda::Alias")
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 1}
    assert properties(stack, "AWS::ApplicationAutoScaling::ScalableTarget") == []
    assert service.scalable_target is None


def test_scaling_begins_with_the_number_on_the_alias(make: Make, stack: Stack) -> None:
    service = make(ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2, max_capacity=10)))
    (alias,) = properties(stack, "AWS::Lambda::Alias")
    (target,) = properties(stack, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 2}
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 10)
    assert target["ScalableDimension"] == "lambda:function:ProvisionedConcurrency"
    assert target["ServiceNamespace"] == "lambda"
    assert service.scalable_target is not None


def test_the_scalable_target_comes_after_the_alias(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned(ProvisionedConcurrency(max_capacity=10)))
    (target,) = properties(stack, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert json.dumps({"Ref": alias_id(stack)}) in json.dumps(target["ResourceId"])
    assert json.dumps(target["ResourceId"]).endswith(':live"]]}')


def test_the_function_comes_after_all_of_its_role(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned())
    template = synth.template_of(stack)
    function = synth.resources_of(template, "AWS::Lambda::Function")[0]
    roles = {name for name, made in template["Resources"].items() if made["Type"].startswith("AWS::IAM::")}
    assert set(function["DependsOn"]) == roles


@pytest.mark.parametrize("source", ["from_s3", "from_bucket"])
def test_the_version_comes_after_the_permission_to_read_the_model(stack: Stack, tmp_path: Path, source: str) -> None:
    path = models.save_package(tmp_path / "digits")
    model: ModelSource = ModelSource.from_s3(path)
    if source == "from_bucket":
        bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
        model = ModelSource.from_bucket(bucket=bucket, prefix="digits", manifest=path / "manifest.json")
    InferenceFunction(stack, "Digits", model=model, cold_start=ColdStart.provisioned())
    template = synth.template_of(stack)
    (version,) = synth.resources_of(template, "AWS::Lambda::Version")
    assert [name for name in version["DependsOn"] if "ReadModel" in name]


def test_scale_in_goes_on_when_there_is_no_traffic(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned(ProvisionedConcurrency(max_capacity=10, target_utilization=0.5)))
    out, back = (
        policy["TargetTrackingScalingPolicyConfiguration"]
        for policy in properties(stack, "AWS::ApplicationAutoScaling::ScalingPolicy")
    )
    assert (out["DisableScaleIn"], out["TargetValue"], back["TargetValue"]) == (True, 0.5, 0.5)
    assert out["PredefinedMetricSpecification"] == {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}
    assert "DisableScaleIn" not in back
    measured, filled = back["CustomizedMetricSpecification"]["Metrics"]
    assert filled == {"Expression": "FILL(measured, 0)", "Id": "filled", "ReturnData": True}
    assert (measured["Id"], measured["ReturnData"], measured["MetricStat"]["Stat"]) == ("measured", False, "Average")
    metric = measured["MetricStat"]["Metric"]
    assert (metric["Namespace"], metric["MetricName"]) == ("AWS/Lambda", "ProvisionedConcurrencyUtilization")
    assert [dimension["Name"] for dimension in metric["Dimensions"]] == ["FunctionName", "Resource"]
    assert json.dumps(metric["Dimensions"][1]["Value"]).endswith(':live"]]}')


def test_scale_in_may_be_left_to_traffic(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned(ProvisionedConcurrency(max_capacity=10, scale_in_when_idle=False)))
    (policy,) = properties(stack, "AWS::ApplicationAutoScaling::ScalingPolicy")
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"},
        "TargetValue": 0.7,
    }


def test_bursts_are_seen_by_the_maximum(make: Make, stack: Stack) -> None:
    make(
        ColdStart.provisioned(ProvisionedConcurrency(max_capacity=10, statistic=UtilizationStatistic.MAXIMUM)),
    )
    out, back = (
        policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
        for policy in properties(stack, "AWS::ApplicationAutoScaling::ScalingPolicy")
    )
    assert (out["Statistic"], out["MetricName"]) == ("Maximum", "ProvisionedConcurrencyUtilization")
    assert back["Metrics"][0]["MetricStat"]["Stat"] == "Maximum"


@pytest.mark.parametrize(
    ("concurrency", "bounds"),
    [
        (
            ProvisionedConcurrency(
                min_capacity=1, schedules=[ProvisionedSchedule(name="d", schedule=DAY, min_capacity=5)]
            ),
            (5, 5),
        ),
        (
            ProvisionedConcurrency(
                max_capacity=9, schedules=[ProvisionedSchedule(name="d", schedule=DAY, min_capacity=5)]
            ),
            (5, 9),
        ),
        (
            ProvisionedConcurrency(
                max_capacity=9,
                schedules=[
                    ProvisionedSchedule(name="d", schedule=DAY, min_capacity=5, max_capacity=20, time_zone=BERLIN)
                ],
            ),
            (5, 20),
        ),
    ],
)
def test_a_schedule_sets_both_bounds(
    make: Make, stack: Stack, concurrency: ProvisionedConcurrency, bounds: tuple[int, int]
) -> None:
    make(ColdStart.provisioned(concurrency))
    (target,) = properties(stack, "AWS::ApplicationAutoScaling::ScalableTarget")
    (action,) = target["ScheduledActions"]
    assert (action["ScalableTargetAction"]["MinCapacity"], action["ScalableTargetAction"]["MaxCapacity"]) == bounds
    assert action["Schedule"] == "cron(0 8 * * ? *)"
    assert action.get("Timezone") == ("Europe/Berlin" if bounds[1] == 20 else None)
    assert bool(properties(stack, "AWS::ApplicationAutoScaling::ScalingPolicy")) == (bounds[1] != 5)


def scheduled(**options: Any) -> ProvisionedConcurrency:
    return ProvisionedConcurrency(schedules=[ProvisionedSchedule(**{"name": "d", "schedule": DAY, **options})])


@pytest.mark.parametrize(
    ("concurrency", "code"),
    [
        (ProvisionedConcurrency(min_capacity=0), "provisioned-range"),
        (ProvisionedConcurrency(min_capacity=0, max_capacity=5), "provisioned-range"),
        (ProvisionedConcurrency(min_capacity=-1), "provisioned-range"),
        (ProvisionedConcurrency(min_capacity=True), "provisioned-range"),
        (ProvisionedConcurrency(min_capacity=1.5), "provisioned-range"),  # type: ignore[arg-type]
        (ProvisionedConcurrency(min_capacity=5, max_capacity=4), "provisioned-range"),
        (scheduled(min_capacity=0), "provisioned-range"),
        (scheduled(min_capacity=3, max_capacity=2), "provisioned-range"),
        (3, "provisioned-range"),
        (ProvisionedConcurrency(max_capacity=5, target_utilization=0.05), "provisioned-target-range"),
        (ProvisionedConcurrency(max_capacity=5, target_utilization=70), "provisioned-target-range"),
        (ProvisionedConcurrency(max_capacity=5, target_utilization=float("nan")), "provisioned-target-range"),
        (ProvisionedConcurrency(max_capacity=5, statistic="Maximum"), "provisioned-statistic"),  # type: ignore[arg-type]
        (ProvisionedConcurrency(target_utilization=0.7), "provisioned-target-range"),
        (scheduled(min_capacity=2, name=" "), "provisioned-schedule"),
    ],
)
def test_provisioned_concurrency_is_refused(make: Make, codes: Codes, concurrency: Any, code: str) -> None:
    assert codes(lambda: make(ColdStart.provisioned(concurrency))) == [code]


def test_two_schedules_of_one_name_are_refused(make: Make, codes: Codes) -> None:
    schedules = [ProvisionedSchedule(name="d", schedule=DAY, min_capacity=number) for number in (1, 2)]
    assert codes(lambda: make(ColdStart.provisioned(ProvisionedConcurrency(schedules=schedules)))) == [
        "provisioned-schedule"
    ]


@pytest.mark.parametrize(
    ("concurrency", "reserved", "fits"),
    [
        (ProvisionedConcurrency(min_capacity=5), 5, True),
        (ProvisionedConcurrency(min_capacity=6), 5, False),
        (ProvisionedConcurrency(max_capacity=6), 5, False),
        (scheduled(min_capacity=6), 5, False),
        (ProvisionedConcurrency(), 0, False),
    ],
)
def test_provisioned_fits_into_reserved(
    make: Make, codes: Codes, concurrency: ProvisionedConcurrency, reserved: int, fits: bool
) -> None:
    def made() -> InferenceFunction:
        return make(ColdStart.provisioned(concurrency), reserved_concurrent_executions=reserved)

    if fits:
        assert made().reserved_concurrent_executions == reserved
    else:
        assert codes(made) == ["provisioned-over-reserved"]


@pytest.mark.parametrize(
    ("account", "most", "fits"), [("1000", 900, True), (1000, 901, False), ("10", 1, False), ("5000", 4900, True)]
)
def test_provisioned_fits_into_the_account(
    tmp_path: Path, model: ModelSource, codes: Codes, account: object, most: int, fits: bool
) -> None:
    app = App(context={"cdk-onnx-inference:account-concurrency": account}, outdir=str(tmp_path / "out"))
    stack = Stack(app, "Shop")

    def made() -> InferenceFunction:
        cold_start = ColdStart.provisioned(ProvisionedConcurrency(max_capacity=most))
        return InferenceFunction(stack, "Digits", model=model, cold_start=cold_start)

    if fits:
        assert made().scalable_target is not None
        assert warnings(stack) == []
    else:
        assert codes(made) == ["provisioned-over-account"]


def test_a_reservation_that_is_none_is_told_alone(make: Make, codes: Codes) -> None:
    assert codes(lambda: make(ColdStart.provisioned(), reserved_concurrent_executions="5")) == [
        "reserved-concurrency-range"
    ]


def test_warns_of_more_than_an_account_usually_has(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned(ProvisionedConcurrency(max_capacity=901)))
    (warning,) = warnings(stack)
    assert "[ack: cdk-onnx-inference:account-concurrency]" in warning


def test_numbers_that_are_known_at_deployment_pass(make: Make, stack: Stack) -> None:
    number = Token.as_number({"Ref": "Number"})
    make(
        ColdStart.provisioned(
            ProvisionedConcurrency(min_capacity=number, max_capacity=number, target_utilization=number)  # type: ignore[arg-type]
        ),
        reserved_concurrent_executions=number,
    )
    (alias,) = properties(stack, "AWS::Lambda::Alias")
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": {"Ref": "Number"}}
