from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, Stack
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns

from cdk_onnx_inference import (
    ApiType,
    AsyncInference,
    ColdStart,
    InferenceApi,
    InferenceFunction,
    InferenceMonitoring,
    InvalidInferenceConfig,
    ModelFileSystem,
    ModelSource,
    ProvisionedConcurrency,
    Severity,
)
from tests.support import models, synth

RULES = ["error-rate", "throttles", "duration", "start", "api-server-errors", "api-latency"]
PROVISIONED_RULES = ["provisioned-spillover", "provisioned-utilization"]


def monitored(
    stack: Stack, tmp_path: Path, *, api_type: Any = None, cold_start: ColdStart | None = None, **options: Any
) -> InferenceMonitoring:
    model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))
    function = InferenceFunction(stack, "Digits", model=model, cold_start=cold_start, timeout=Duration.seconds(20))
    api = InferenceApi(stack, "Api", function=function, api_type=api_type)
    return InferenceMonitoring(stack, "Monitoring", function=function, api=api, **options)


def alarms(stack: Stack) -> dict[str, dict[str, Any]]:
    found = synth.resources_of(synth.template_of(stack), "AWS::CloudWatch::Alarm")
    return {alarm["Properties"]["AlarmDescription"].partition(" above")[0]: alarm["Properties"] for alarm in found}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


def body(stack: Stack) -> str:
    """The dashboard's body, with a stand-in for what is known only when it is deployed."""
    parts = synth.only(synth.template_of(stack), "AWS::CloudWatch::Dashboard")["DashboardBody"]["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else "known-later" for part in parts)


def test_no_alarm_unless_asked_for(stack: Stack, tmp_path: Path) -> None:
    monitoring = monitored(stack, tmp_path)
    assert list(monitoring.rules) == RULES
    assert alarms(stack) == {}


def test_alarms(stack: Stack, tmp_path: Path) -> None:
    monitored(stack, tmp_path).add_alarms()
    found = alarms(stack)
    assert sorted(found) == sorted(
        [f"WARNING {name}" for name in RULES]
        + [f"CRITICAL {name}" for name in ("error-rate", "throttles", "duration", "api-server-errors")]
    )
    for properties in found.values():
        assert properties["TreatMissingData"] == "notBreaching"
        assert properties["ComparisonOperator"] == "GreaterThanThreshold"
        assert (properties["EvaluationPeriods"], properties["DatapointsToAlarm"]) == (3, 2)
        assert "AlarmActions" not in properties
    assert found["WARNING duration"]["Threshold"] == 16_000
    assert found["CRITICAL duration"]["Threshold"] == 19_000
    assert found["WARNING api-latency"]["Threshold"] == 24_000
    assert '"Name": "Resource"' in json.dumps(found["WARNING throttles"])  # of the alias, not of the function


def test_a_rate_is_no_value_without_invocations(stack: Stack, tmp_path: Path) -> None:
    monitored(stack, tmp_path).add_alarms(without=[name for name in RULES if name != "error-rate"])
    metrics = alarms(stack)["WARNING error-rate"]["Metrics"]
    assert metrics[0]["Expression"] == "100 * FILL(errors, 0) / invocations"
    assert {metric["MetricStat"]["Stat"] for metric in metrics[1:]} == {"Sum"}


def test_rules_of_provisioned_concurrency(stack: Stack, tmp_path: Path) -> None:
    cold_start = ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2))
    monitoring = monitored(stack, tmp_path, cold_start=cold_start)
    monitoring.add_alarms()
    assert set(PROVISIONED_RULES) < set(monitoring.rules)
    spillover = alarms(stack)["WARNING provisioned-spillover"]
    assert "ProvisionedConcurrencySpilloverInvocations" in json.dumps(spillover)
    assert spillover["Threshold"] == 0
    assert "Spillover into cold starts" in body(stack)


def test_actions_by_severity(stack: Stack, tmp_path: Path) -> None:
    topic = sns.Topic(stack, "OnCall")
    monitored(stack, tmp_path).add_alarms(actions={Severity.CRITICAL: [actions.SnsAction(topic)]})
    for name, properties in alarms(stack).items():
        assert ("AlarmActions" in properties) == name.startswith("CRITICAL")


def test_other_thresholds(stack: Stack, tmp_path: Path) -> None:
    later = CfnParameter(stack, "Most", type="Number").value_as_number
    monitored(stack, tmp_path).add_alarms(
        thresholds={
            "error-rate": {Severity.WARNING: 2.5, Severity.CRITICAL: None},
            "start": {Severity.CRITICAL: 9000},
            "throttles": {Severity.WARNING: later},
        },
        without=["duration", "api-latency"],
    )
    found = alarms(stack)
    assert found["WARNING error-rate"]["Threshold"] == 2.5
    assert "CRITICAL error-rate" not in found
    assert found["CRITICAL start"]["Threshold"] == 9000
    assert "WARNING duration" not in found
    assert "WARNING api-latency" not in found


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"without": ["errors"]}, "alarm-unknown", "error-rate"),
        ({"thresholds": {"errors": {Severity.WARNING: 1}}}, "alarm-unknown", "error-rate"),
        ({"thresholds": {"start": {Severity.WARNING: -1}}}, "alarm-threshold", "ms, p99"),
        ({"thresholds": {"start": {Severity.WARNING: float("nan")}}}, "alarm-threshold", "ms, p99"),
        ({"thresholds": {"start": {Severity.WARNING: True}}}, "alarm-threshold", "ms, p99"),
    ],
)
def test_wrong(stack: Stack, tmp_path: Path, options: dict[str, Any], code: str, said: str) -> None:
    monitoring = monitored(stack, tmp_path)
    with pytest.raises(InvalidInferenceConfig) as raised:
        monitoring.add_alarms(**options)
    assert [problem.code for problem in raised.value.problems] == [code]
    assert said in str(raised.value)
    assert alarms(stack) == {}


def test_alarms_are_made_once(stack: Stack, tmp_path: Path) -> None:
    monitoring = monitored(stack, tmp_path)
    monitoring.add_alarms()
    with pytest.raises(InvalidInferenceConfig, match="alarm-duplicate"):
        monitoring.add_alarms()


@pytest.mark.parametrize("api_type", [ApiType.http_api(), ApiType.rest_api()])
def test_dashboard(stack: Stack, tmp_path: Path, api_type: Any) -> None:
    monitored(stack, tmp_path, api_type=api_type).add_alarms()
    widgets = json.loads(body(stack))["widgets"]
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)
    places = {(widget["x"], widget["y"]) for widget in widgets}
    assert len(places) == len(widgets)
    for row in {widget["y"] for widget in widgets}:
        assert sum(widget["width"] for widget in widgets if widget["y"] == row) == 24
    titles = [widget["properties"].get("title") for widget in widgets]
    assert "digits: phases of an inference, ms" in titles
    assert "Latency, ms" in titles
    assert "Alarms" in titles
    assert ('"ApiId"' in body(stack)) == (api_type == ApiType.http_api())


def test_without_a_dashboard(stack: Stack, tmp_path: Path) -> None:
    monitoring = monitored(stack, tmp_path, dashboard=False)
    monitoring.add_alarms()
    assert monitoring.dashboard is None
    assert synth.resources_of(synth.template_of(stack), "AWS::CloudWatch::Dashboard") == []


def test_file_system(stack: Stack, tmp_path: Path) -> None:
    models_on_efs = ModelFileSystem(stack, "Models")
    path = models.save_package(tmp_path / "digits")
    function = InferenceFunction(stack, "Digits", model=ModelSource.on_efs(path, file_system=models_on_efs))
    InferenceMonitoring(stack, "Monitoring", function=function, file_system=models_on_efs)
    assert '"AWS/EFS","DataReadIOBytes"' in body(stack)


def test_jobs(stack: Stack, tmp_path: Path) -> None:
    model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))
    function = InferenceFunction(stack, "Digits", model=model)
    jobs = AsyncInference(stack, "Jobs", function=function, job_timeout=Duration.hours(1))
    monitoring = InferenceMonitoring(stack, "Monitoring", function=function, jobs=jobs)
    monitoring.add_alarms()
    found = alarms(stack)
    assert found["WARNING queue-age"]["Threshold"] == 1800
    assert found["CRITICAL queue-age"]["Threshold"] == 3240
    assert found["CRITICAL dead-letters"]["Threshold"] == 0
    assert {"WARNING jobs-parked", "WARNING jobs-expired", "CRITICAL jobs-expired"} < found.keys()
    assert {"Jobs by status", "Workers at once", "Age of the oldest, seconds"} <= {
        widget["properties"].get("title") for widget in json.loads(body(stack))["widgets"]
    }


def test_what_is_known_at_deployment_has_no_rule_and_no_line(stack: Stack, tmp_path: Path) -> None:
    number = CfnParameter(stack, "Number", type="Number").value_as_number
    path = models.save(models.matmul(), tmp_path / "digits")
    function = InferenceFunction(stack, "Digits", model=ModelSource.in_image(path), timeout=Duration.seconds(number))
    api_type = ApiType.rest_api(integration_timeout=Duration.millis(number))
    api = InferenceApi(stack, "Api", function=function, api_type=api_type)
    monitoring = InferenceMonitoring(stack, "Monitoring", function=function, api=api)
    monitoring.add_alarms()
    assert list(monitoring.rules) == [name for name in RULES if name not in ("duration", "api-latency")]
    assert "Duration, ms" in body(stack)
    assert "annotations" not in body(stack)


def test_the_service_stays_as_it_is(tmp_path: Path) -> None:
    def template(with_monitoring: bool) -> dict[str, Any]:
        stack = Stack(synth.new_app(tmp_path / f"cdk.out{with_monitoring}"), "Shop")
        monitoring = monitored(stack, tmp_path)
        if with_monitoring:
            monitoring.add_alarms()
        resources: dict[str, Any] = synth.template_of(stack)["Resources"]
        return {name: found for name, found in resources.items() if not found["Type"].startswith("AWS::CloudWatch::")}

    assert template(True) == template(False)
