"""The stand-in for CodeDeploy: parts of the traffic, the hooks' reports, and the way back. Its cloud is a fake here."""

import json
import threading
from datetime import UTC, datetime

import boto3
import pytest
from botocore.exceptions import ClientError

from onnx_inference.local import Clock
from onnx_inference.local.cloud.records import AliasMove, RecordedResource
from onnx_inference.local.code_deploy.configuration import TrafficRouting
from onnx_inference.local.code_deploy.hook_endpoint import HookEndpoint
from onnx_inference.local.code_deploy.rollout import RolloutFailed
from onnx_inference.local.code_deploy.stand_in import CodeDeployStandIn
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult, ResourceNotFound

MOVE = AliasMove("000000000000", "us-east-1", "f", "live", "1", "2", "Group", "before", "after")


def code_deploy_client(url):
    return boto3.client(
        "codedeploy", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("CodeDeployDefault.LambdaAllAtOnce", [(100, 0)]),
        ("CodeDeployDefault.LambdaCanary10Percent5Minutes", [(10, 300), (100, 0)]),
        ("CodeDeployDefault.LambdaLinear10PercentEvery1Minute", [*((10 * n, 60) for n in range(1, 10)), (100, 0)]),
        ("CodeDeployDefault.LambdaLinear10PercentEvery10Minutes", [*((10 * n, 600) for n in range(1, 10)), (100, 0)]),
    ],
)
def test_the_configurations_that_code_deploy_has(name, parts):
    assert list(TrafficRouting.of(name).parts()) == parts


def test_a_template_s_own_configuration():
    linear = {"Type": "TimeBasedLinear", "TimeBasedLinear": {"LinearPercentage": 40, "LinearInterval": 3}}
    canary = {"Type": "TimeBasedCanary", "TimeBasedCanary": {"CanaryPercentage": 25, "CanaryInterval": 2}}
    parts = [
        list(TrafficRouting.of("Own", {"TrafficRoutingConfig": routing}).parts())
        for routing in (linear, canary, {"Type": "AllAtOnce"})
    ]
    assert parts == [[(40, 180), (80, 180), (100, 0)], [(25, 120), (100, 0)], [(100, 0)]]


def test_an_unknown_configuration_is_named():
    with pytest.raises(ValueError, match="ServerThings is not known"):
        TrafficRouting.of("ServerThings")


class TestTheEndpoint:
    @pytest.fixture
    def endpoint(self):
        endpoint = HookEndpoint()
        yield endpoint
        endpoint.close()

    def report(self, endpoint, deployment="d-1", execution="e-1", status="Succeeded"):
        return code_deploy_client(endpoint.url).put_lifecycle_event_hook_execution_status(
            deploymentId=deployment, lifecycleEventHookExecutionId=execution, status=status
        )

    def test_boto3_reports_to_it(self, endpoint):
        endpoint.expect("d-1", "e-1")
        assert self.report(endpoint, status="Failed")["lifecycleEventHookExecutionId"] == "e-1"
        assert endpoint.status("d-1", "e-1") == "Failed"

    @pytest.mark.parametrize(
        ("values", "code"),
        [
            ({"execution": "another"}, "InvalidLifecycleEventHookExecutionIdException"),
            ({"status": "Skipped"}, "InvalidLifecycleEventHookExecutionStatusException"),
        ],
    )
    def test_what_is_no_report_of_a_running_hook_is_refused(self, endpoint, values, code):
        endpoint.expect("d-1", "e-1")
        with pytest.raises(ClientError) as refused:
            self.report(endpoint, **values)
        assert refused.value.response["Error"]["Code"] == code
        assert endpoint.status("d-1", "e-1") is None

    def test_the_first_report_stands(self, endpoint):
        endpoint.expect("d-1", "e-1")
        self.report(endpoint, status="Failed")
        with pytest.raises(ClientError, match="reported already"):
            self.report(endpoint)
        assert endpoint.status("d-1", "e-1") == "Failed"

    def test_other_operations_are_refused_by_name(self, endpoint):
        with pytest.raises(ClientError, match="serves PutLifecycleEventHookExecutionStatus only"):
            code_deploy_client(endpoint.url).list_applications()


class FakeCloud:
    """Remembers where the alias was; knows one deployment group."""

    def __init__(self, configuration):
        self.alias = []
        self.configuration = configuration

    @property
    def recorded(self):
        return self

    def of_type(self, resource_type):
        properties = {
            "DeploymentConfigName": self.configuration,
            "AlarmConfiguration": {"Enabled": True, "Alarms": [{"Name": "Errors"}]},
        }
        group = RecordedResource("AWS::CodeDeploy::DeploymentGroup", "Group", "0", "r", properties)
        return [group] if resource_type == group.resource_type else []

    def client(self, service, **environment):
        return self

    def update_alias(self, *, FunctionName, Name, FunctionVersion, RoutingConfig):  # noqa: N803 - boto3's names
        self.alias.append((FunctionVersion, RoutingConfig["AdditionalVersionWeights"]))


class FakeAlarms:
    unwatched = (("Other", "it is not measured here"),)

    def __init__(self):
        self.gone_off = None

    def watch(self, names):
        self.watched = tuple(names)
        return self

    def in_alarm(self):
        return self.gone_off


@pytest.fixture
def world():
    return World()


class World:
    """The stand-in with hooks that do what a test says: report a status, or None for no report."""

    def __init__(self):
        self.clock = Clock(speed=600)
        self.alarms = FakeAlarms()
        self.logs = FunctionLogs()
        self.events = []
        self.hooks = {"before": "Succeeded", "after": "Succeeded"}

    def start(self, configuration="CodeDeployDefault.LambdaCanary10Percent5Minutes"):
        self.cloud = FakeCloud(configuration)
        self.stand_in = CodeDeployStandIn(
            self.cloud, self.clock, invoke=self.invoke, logs=self.logs, watch=self.alarms.watch
        )
        return self.stand_in

    def invoke(self, function, payload):
        event = json.loads(payload)
        self.events.append((function.name, sorted(event)))
        if function.name not in self.hooks:
            raise ResourceNotFound(f"Function not found: {function}")
        status = self.hooks[function.name]
        self.logs.write(function.name, "1", "stream", "r", f"[ERROR]\t2027-01-01T00:00:00Z\tr\t{function.name} says no")
        if status is not None:
            code_deploy_client(self.stand_in.url).put_lifecycle_event_hook_execution_status(
                deploymentId=event["DeploymentId"],
                lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
                status=status,
            )
        record = InvocationRecord(
            "r", str(function), function.name, "1", datetime.now(UTC), False, None, 1.0, 0.0, 128, 64, "success",
            None, "stream",
        )  # fmt: skip
        return InvocationResult(b"null", None, record)


def test_traffic_goes_over_in_parts_between_the_hooks(world):
    stand_in = world.start()
    stand_in.move(MOVE)
    stand_in.close()
    assert world.events == [(name, ["DeploymentId", "LifecycleEventHookExecutionId"]) for name in ("before", "after")]
    assert world.cloud.alias == [("1", {"2": 0.1}), ("2", {})]
    (rollout,) = stand_in.rollouts()
    assert (rollout.result, rollout.alarms, rollout.unwatched) == ("Succeeded", ("Errors",), FakeAlarms.unwatched)
    assert rollout.deployment_id.startswith("d-")
    assert not stand_in.running()


@pytest.mark.parametrize(
    ("status", "message"),
    [("Failed", r"before\) reported Failed: before says no"), (None, r"before\) ended without a report: before says")],
)
def test_a_hook_that_fails_or_is_silent_keeps_traffic_where_it_is(world, status, message):
    world.hooks["before"] = status
    stand_in = world.start()
    with pytest.raises(RolloutFailed, match=message):
        stand_in.move(MOVE)
    stand_in.close()
    assert world.cloud.alias == []
    (rollout,) = stand_in.rollouts()
    assert (rollout.result, rollout.steps) == ("Failed", ())
    assert rollout.hooks[0].status == status


def test_a_hook_that_is_not_there_fails(world):
    del world.hooks["before"]
    stand_in = world.start()
    with pytest.raises(RolloutFailed, match="ended without a report: Function not found"):
        stand_in.move(MOVE)
    stand_in.close()


def test_a_failing_hook_after_traffic_takes_it_back(world):
    world.hooks["after"] = "Failed"
    stand_in = world.start("CodeDeployDefault.LambdaAllAtOnce")
    with pytest.raises(RolloutFailed, match=r"AfterAllowTraffic \(after\) reported Failed: after says no"):
        stand_in.move(MOVE)
    stand_in.close()
    assert world.cloud.alias == [("2", {}), ("1", {})]
    assert [step.percentage for step in stand_in.rollouts()[0].steps] == [100, 0]


def test_an_alarm_takes_traffic_back_in_the_middle_of_a_shift(world):
    world.clock = Clock(speed=0)
    stand_in = world.start()
    failures = []

    def move():
        with pytest.raises(RolloutFailed) as failed:
            stand_in.move(MOVE)
        failures.append(str(failed.value))

    mover = threading.Thread(target=move)
    mover.start()
    while not world.cloud.alias:
        mover.join(0.01)
    world.alarms.gone_off = "Errors: 3 (GreaterThanThreshold 0)"
    world.clock.wake()
    mover.join(10)
    stand_in.close()
    assert "an alarm went off: Errors: 3" in failures[0]
    assert world.cloud.alias == [("1", {"2": 0.1}), ("1", {})]
    assert [hook.event for hook in stand_in.rollouts()[0].hooks] == ["BeforeAllowTraffic"]


def test_a_twin_that_stops_ends_a_shift(world):
    world.clock = Clock(speed=0)
    stand_in = world.start()
    threading.Timer(0.2, stand_in.close).start()
    with pytest.raises(RolloutFailed, match="the twin was stopped"):
        stand_in.move(MOVE)
    assert world.cloud.alias[-1] == ("1", {})
