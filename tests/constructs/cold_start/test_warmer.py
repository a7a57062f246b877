"""What `ColdStart.warmer` makes, and which values it accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Annotations, Duration, Stack, TimeZone

from cdk_onnx_inference import ColdStart, Warmer, WarmerTrigger, WarmHours, _permissions
from tests.constructs.cold_start.conftest import BERLIN, Make, alias_id
from tests.constructs.conftest import Codes, properties, warnings


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
        ({"hours": WarmHours(start=8, end=18, time_zone="UTC")}, "warmer-time-zone"),  # type: ignore[arg-type]
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
