"""What each choice makes, and which values it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Annotations, App, Duration, Stack, TimeZone, Token
from aws_cdk import assertions as cdk_assertions
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import (
    ColdStart,
    InferenceFunction,
    ModelSource,
    ProvisionedConcurrency,
    ProvisionedSchedule,
    UtilizationStatistic,
    Warmer,
    WarmerTrigger,
    WarmHours,
    _permissions,
)
from cdk_onnx_inference.cold_start import _cold_start_validation
from tests.constructs.conftest import Codes
from tests.support import models, synth

Make = Callable[..., InferenceFunction]
BERLIN = TimeZone.of("Europe/Berlin")
DAY = autoscaling.Schedule.cron(hour="8", minute="0")


@pytest.fixture
def make(stack: Stack, model: ModelSource) -> Make:
    def function(cold_start: ColdStart | None = None, **options: Any) -> InferenceFunction:
        return InferenceFunction(stack, "Digits", **{"model": model, "cold_start": cold_start, **options})

    return function


def properties(stack: Stack, resource_type: str) -> list[dict[str, Any]]:
    return [made["Properties"] for made in synth.resources_of(synth.template_of(stack), resource_type)]


def alias_id(stack: Stack) -> str:
    template = synth.template_of(stack)
    (found,) = (name for name, made in template["Resources"].items() if made["Type"] == "AWS::Lambda::Alias")
    return str(found)


def warnings(stack: Stack) -> list[str]:
    found = cdk_assertions.Annotations.from_stack(stack).find_warning("*", cdk_assertions.Match.any_value())
    return [str(entry.entry.data) for entry in found]


def codes_at_synth(stack: Stack) -> list[str]:
    with pytest.raises(RuntimeError) as raised:
        synth.template_of(stack)
    return re.findall(r"\[([a-z-]+)\]$", str(raised.value), re.MULTILINE)


# On demand


def test_nothing_is_made_unless_asked_for(make: Make, stack: Stack) -> None:
    service = make()
    assert service.cold_start == ColdStart.on_demand()
    assert (service.warmer, service.scalable_target) == (None, None)
    template = synth.template_of(stack)
    assert {made["Type"].split("::")[1] for made in template["Resources"].values()} == {"Lambda", "IAM", "Logs"}
    assert "ProvisionedConcurrencyConfig" not in synth.only(template, "AWS::Lambda::Alias")
    assert "SnapStart" not in synth.only(template, "AWS::Lambda::Function")


@pytest.mark.parametrize("wrong", ["provisioned", 3, ColdStart()])
def test_only_what_the_factories_return_is_a_choice(make: Make, codes: Codes, wrong: Any) -> None:
    assert codes(lambda: make(wrong)) == ["cold-start-type"]


# Provisioned concurrency


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


# Warmers


def test_a_warmer_pings_the_alias_once(make: Make, stack: Stack) -> None:
    service = make(ColdStart.warmer())
    (schedule,) = properties(stack, "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "cron(0/5 * * * ? *)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = schedule["Target"]
    assert target["Arn"] == {"Ref": alias_id(stack)}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    assert json.loads(target["Input"]) == {"source": "cdk-onnx-inference.warmer", "hold_ms": 0, "touch": False}
    assert service.warmer is not None
    assert len(service.warmer.schedules) == 1
    assert service.warmer.rule is None


def test_the_warmers_role_may_invoke_the_alias_and_nothing_else(make: Make, stack: Stack) -> None:
    make(ColdStart.warmer(concurrency=3))
    own, role = sorted(properties(stack, "AWS::IAM::Role"), key=lambda made: "scheduler" in json.dumps(made))
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert set(trust["Condition"]["StringEquals"]) == {"aws:SourceAccount", "aws:SourceArn"}
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {"Action": _permissions.INVOKE[0], "Effect": "Allow", "Resource": {"Ref": alias_id(stack)}}
    ]
    assert "lambda:InvokeFunction" not in json.dumps([own, *properties(stack, "AWS::IAM::Policy")])


def test_pings_of_all_schedules_fall_into_the_same_minutes(make: Make, stack: Stack) -> None:
    make(ColdStart.warmer(concurrency=4, interval=Duration.minutes(10), touch=True))
    schedules = properties(stack, "AWS::Scheduler::Schedule")
    assert {made["ScheduleExpression"] for made in schedules} == {"cron(0/10 * * * ? *)"}
    assert len(schedules) == 4
    assert {made["Target"]["Input"] for made in schedules} == {
        '{"source":"cdk-onnx-inference.warmer","hold_ms":10000,"touch":true}'
    }


def test_hours_and_time_zone(make: Make, stack: Stack) -> None:
    make(ColdStart.warmer(hours=WarmHours(start=8, end=18, time_zone=BERLIN), interval=Duration.minutes(1)))
    (schedule,) = properties(stack, "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "cron(* 8-17 ? * MON-FRI *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Berlin"


def test_a_rule_has_a_target_for_each_environment(make: Make, stack: Stack) -> None:
    service = make(ColdStart.warmer(concurrency=5, trigger=WarmerTrigger.RULE, hours=WarmHours(start=0, end=24)))
    (rule,) = properties(stack, "AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "cron(0/5 0-23 ? * MON-FRI *)"
    assert [target["Arn"] for target in rule["Targets"]] == [{"Ref": alias_id(stack)}] * 5
    assert {target["Input"] for target in rule["Targets"]} == {
        '{"source":"cdk-onnx-inference.warmer","hold_ms":2000,"touch":false}'
    }
    assert all(target["RetryPolicy"]["MaximumRetryAttempts"] == 0 for target in rule["Targets"])
    (permission,) = properties(stack, "AWS::Lambda::Permission")
    assert permission["FunctionName"] == {"Ref": alias_id(stack)}
    assert service.warmer is not None
    assert (service.warmer.schedules, service.warmer.role) == ((), None)


@pytest.mark.parametrize(("timeout", "hold_ms"), [(30, 10_000), (11, 10_000), (5, 4_000), (1, 0)])
def test_the_default_hold_ends_before_the_timeout(make: Make, stack: Stack, timeout: int, hold_ms: int) -> None:
    make(ColdStart.warmer(concurrency=2), timeout=Duration.seconds(timeout))
    schedule, _ = properties(stack, "AWS::Scheduler::Schedule")
    assert json.loads(schedule["Target"]["Input"])["hold_ms"] == hold_ms


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"concurrency": 0}, "warmer-concurrency-range"),
        ({"concurrency": 101}, "warmer-concurrency-range"),
        ({"concurrency": 1.5}, "warmer-concurrency-range"),
        ({"concurrency": 6, "trigger": WarmerTrigger.RULE}, "warmer-concurrency-range"),
        ({"interval": Duration.minutes(7)}, "warmer-interval"),
        ({"interval": Duration.minutes(60)}, "warmer-interval"),
        ({"interval": Duration.seconds(90)}, "warmer-interval"),
        ({"interval": 5}, "warmer-interval"),
        ({"hold": Duration.seconds(11)}, "warmer-hold-range"),
        ({"hold": 5}, "warmer-hold-range"),
        ({"hold": Duration.millis(9_001)}, "warmer-hold-timeout"),
        ({"hours": WarmHours(start=18, end=8)}, "warmer-hours"),
        ({"hours": WarmHours(start=8, end=25)}, "warmer-hours"),
        ({"hours": WarmHours(start=8, end=18, week_days="weekdays")}, "warmer-hours"),
        ({"hours": WarmHours(start=8, end=18, week_days="FRI-MON")}, "warmer-hours"),
        ({"hours": WarmHours(start=8, end=18, time_zone=BERLIN), "trigger": WarmerTrigger.RULE}, "warmer-time-zone"),
        ({"hours": (8, 18)}, "warmer-hours"),
        ({"trigger": "rule"}, "warmer-trigger"),
        ({"concurrency": 4}, "warmer-over-reserved"),
    ],
)
def test_a_warmer_is_refused(make: Make, codes: Codes, options: dict[str, Any], code: str) -> None:
    timeout = Duration.seconds(10)
    reserved = 3 if options.get("concurrency") == 4 else None
    assert codes(
        lambda: make(ColdStart.warmer(**options), timeout=timeout, reserved_concurrent_executions=reserved)
    ) == [code]


@pytest.mark.parametrize("zone", [TimeZone.ETC_UTC, TimeZone.of("UTC")])
def test_a_rule_is_in_utc(make: Make, zone: TimeZone) -> None:
    hours = WarmHours(start=8, end=18, week_days="SUN,TUE-SAT", time_zone=zone)
    warmer = make(ColdStart.warmer(hours=hours, trigger=WarmerTrigger.RULE)).warmer
    assert warmer is not None
    assert warmer.rule is not None


@pytest.mark.parametrize("cold_start", [ColdStart.provisioned(), ColdStart.snap_start()])
def test_a_warmer_of_its_own_is_refused_beside_what_excludes_it(
    make: Make, stack: Stack, codes: Codes, cold_start: ColdStart
) -> None:
    service = make(cold_start)
    assert codes(lambda: Warmer(stack, "Warmer", function=service)) == ["warmer-excluded"]


def test_a_warmer_of_its_own(make: Make, stack: Stack) -> None:
    Warmer(stack, "Warmer", function=make(), concurrency=2)
    assert len(properties(stack, "AWS::Scheduler::Schedule")) == 2
    assert warnings(stack) == []


def test_warns_of_a_second_warmer(make: Make, stack: Stack) -> None:
    second = Warmer(stack, "Warmer", function=make(ColdStart.warmer()))
    (warning,) = warnings(stack)
    assert "[ack: cdk-onnx-inference:second-warmer]" in warning
    Annotations.of(second).acknowledge_warning("cdk-onnx-inference:second-warmer", "nights too")


# SnapStart


@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_snap_start(make: Make, stack: Stack, keep: bool, policy: str) -> None:
    make(ColdStart.snap_start(keep_old_versions=keep))
    template = synth.template_of(stack)
    assert synth.only(template, "AWS::Lambda::Function")["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    (version,) = synth.resources_of(template, "AWS::Lambda::Version")
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == (policy, policy)
    assert warnings(stack) == []


@pytest.mark.parametrize(("region", "there"), [("ap-southeast-6", False), ("ap-east-2", False), ("eu-west-1", True)])
def test_snap_start_is_not_in_every_region(
    tmp_path: Path, model: ModelSource, codes: Codes, region: str, there: bool
) -> None:
    stack = Stack(synth.new_app(tmp_path / "out"), "Shop", env={"region": region, "account": "123456789012"})

    def made() -> InferenceFunction:
        return InferenceFunction(stack, "Digits", model=model, cold_start=ColdStart.snap_start())

    if there:
        assert made().alias is not None
    else:
        assert codes(made) == ["snap-start-region"]


@pytest.mark.parametrize("cold_start", [ColdStart.snap_start(), ColdStart.provisioned(), ColdStart.warmer()])
def test_what_a_change_of_choice_publishes(tmp_path: Path, model: ModelSource, cold_start: ColdStart) -> None:
    ids = []
    for number, choice in enumerate((None, cold_start)):
        stack = Stack(synth.new_app(tmp_path / str(number)), "Shop")
        InferenceFunction(stack, "Digits", model=model, cold_start=choice)
        resources = synth.template_of(stack)["Resources"]
        ids += [name for name, made in resources.items() if made["Type"] == "AWS::Lambda::Version"]
    assert (ids[0] != ids[1]) == (cold_start == ColdStart.snap_start())


# What is added to the attributes


def cfn_alias(service: InferenceFunction) -> lambda_.CfnAlias:
    resource = service.alias.node.default_child
    assert isinstance(resource, lambda_.CfnAlias)
    return resource


def cfn_function(service: InferenceFunction) -> lambda_.CfnFunction:
    resource = service.function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)
    return resource


@pytest.mark.parametrize("cold_start", [ColdStart.provisioned(), ColdStart.on_demand()])
def test_weights_by_hand_exclude_provisioned_concurrency(make: Make, stack: Stack, cold_start: ColdStart) -> None:
    cfn_alias(make(cold_start)).routing_config = lambda_.CfnAlias.AliasRoutingConfigurationProperty(
        additional_version_weights=[
            lambda_.CfnAlias.VersionWeightProperty(function_version="1", function_weight=0.1),
        ]
    )
    if cold_start == ColdStart.on_demand():
        assert "RoutingConfig" in properties(stack, "AWS::Lambda::Alias")[0]
    else:
        assert codes_at_synth(stack) == ["alias-weights"]


@pytest.mark.parametrize("cold_start", [ColdStart.on_demand(), ColdStart.warmer(), ColdStart.snap_start()])
def test_scaling_that_is_added_to_another_choice_is_refused(make: Make, stack: Stack, cold_start: ColdStart) -> None:
    make(cold_start).alias.add_auto_scaling(min_capacity=1, max_capacity=5)
    assert codes_at_synth(stack) == ["provisioned-excluded"]


def test_scaling_to_nothing_that_is_added_to_a_fixed_number_is_refused(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned()).alias.add_auto_scaling(min_capacity=0, max_capacity=5)
    assert codes_at_synth(stack) == ["provisioned-range"]


def test_an_initial_number_that_is_added_to_snap_start_is_refused(make: Make, stack: Stack) -> None:
    alias = cfn_alias(make(ColdStart.snap_start()))
    alias.provisioned_concurrency_config = lambda_.CfnAlias.ProvisionedConcurrencyConfigurationProperty(
        provisioned_concurrent_executions=1
    )
    assert codes_at_synth(stack) == ["provisioned-excluded"]


@pytest.mark.parametrize("cold_start", [ColdStart.provisioned(), ColdStart.snap_start(), ColdStart.on_demand()])
def test_tenant_isolation_excludes_both(make: Make, stack: Stack, cold_start: ColdStart) -> None:
    cfn_function(make(cold_start)).tenancy_config = lambda_.CfnFunction.TenancyConfigProperty(
        tenant_isolation_mode="PER_TENANT"
    )
    if cold_start == ColdStart.on_demand():
        assert "TenancyConfig" in properties(stack, "AWS::Lambda::Function")[0]
    else:
        assert codes_at_synth(stack) == ["tenant-isolation"]


def test_a_queue_on_a_function_that_speaks_http_is_refused(make: Make, stack: Stack) -> None:
    queue = sqs.Queue(stack, "Queue", visibility_timeout=Duration.seconds(180))
    make(reserved_concurrent_executions=5).alias.add_event_source(
        event_sources.SqsEventSource(queue, max_concurrency=50)
    )
    assert codes_at_synth(stack) == ["event-source-unsupported", "max-concurrency-over-reserved"]


@pytest.mark.parametrize(
    ("value", "reserved", "code"),
    [
        (None, 1, None),
        (2, None, None),
        (1000, None, None),
        (5, 5, None),
        (1, None, "max-concurrency-range"),
        (1001, None, "max-concurrency-range"),
        (6, 5, "max-concurrency-over-reserved"),
    ],
)
def test_most_concurrent_invocations_by_a_queue(value: float | None, reserved: float | None, code: str | None) -> None:
    found = _cold_start_validation.event_source_concurrency("Queue", value, reserved)
    assert [problem.code for problem in found] == ([] if code is None else [code])
