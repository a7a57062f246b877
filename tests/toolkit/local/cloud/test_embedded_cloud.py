"""The adapter to MiniStack: the internals it touches are what it expects, and it leaves nothing behind."""

import inspect
import json
import os
import socket
import time
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from onnx_inference.local.cloud.embedded_cloud import RECORDED_ONLY_TYPES, CloudError, EmbeddedCloud
from onnx_inference.local.cloud.records import CloudSchedule
from onnx_inference.local.lambda_host.function_configuration import AsynchronousPolicy, FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationResult, TooManyRequests

ministack_app = pytest.importorskip("ministack.app")


def invoke_nothing(arn, payload):
    raise AssertionError("not called")


@pytest.fixture(scope="module")
def cloud():
    cloud = EmbeddedCloud(invoke_nothing)
    cloud.start()
    yield cloud
    cloud.stop()


def test_the_pinned_version_is_the_one_these_internals_were_read_in():
    pins = [r for r in requires("cdk-onnx-inference") or () if r.startswith("ministack")]
    assert all(f"=={version('ministack')}" in pin for pin in pins)
    assert pins


def test_the_internals_that_the_adapter_touches():
    from ministack.core import responses
    from ministack.services import ecr, eventbridge, lambda_svc, s3, scheduler, sqs
    from ministack.services.cloudformation import changesets, custom_resource, engine, provisioners, stacks
    from ministack.services.cloudformation import handlers as handlers_module

    assert inspect.signature(scheduler._tick_schedules).parameters == {}
    assert inspect.signature(eventbridge._tick_scheduled_rules).parameters == {}
    assert hasattr(scheduler._schedules, "_data")
    assert hasattr(eventbridge._rules, "_data")
    assert hasattr(eventbridge._targets, "_data")
    assert list(inspect.signature(eventbridge._invoke_target).parameters)[:3] == ["target", "event", "rule"]
    assert list(inspect.signature(eventbridge._pattern_event_view).parameters) == ["event"]
    transform = inspect.signature(eventbridge._apply_input_transformer)
    assert list(transform.parameters) == ["transformer", "rule", "view"]
    assert list(inspect.signature(stacks._runs_on_worker_thread).parameters) == ["resource_type"]
    assert list(inspect.signature(lambda_svc._snapstart_provision_version_async).parameters) == ["name", "ver_record"]
    assert callable(responses.set_request_account_id)
    assert callable(responses.set_request_region)
    assert list(inspect.signature(lambda_svc._execute_function_with_config_scope).parameters) == ["func", "event"]
    assert list(inspect.signature(custom_resource.deliver_response).parameters) == ["token", "response"]
    assert "Custom::S3AutoDeleteObjects" not in provisioners._RESOURCE_HANDLERS
    assert list(inspect.signature(lambda_svc._execute_function_docker).parameters) == ["func", "event", "request_id"]
    assert list(inspect.signature(lambda_svc._throttle_response).parameters)[:2] == ["reason_code", "msg"]
    assert list(inspect.signature(lambda_svc._functions.get_scoped).parameters)[:3] == ["account_id", "region", "key"]
    assert list(inspect.signature(ecr._describe_images).parameters) == ["data"]
    assert list(inspect.signature(ecr._find_image).parameters) == ["repo_name", "image_id"]
    assert list(inspect.signature(ecr.error_response_json).parameters)[:3] == ["code", "message", "status"]
    assert inspect.signature(ministack_app._docker_socket_present).parameters == {}
    assert inspect.signature(ministack_app._reset_all_state).parameters == {}
    assert inspect.iscoroutinefunction(ministack_app.app)
    deploy = inspect.signature(stacks._deploy_stack_async)
    assert list(deploy.parameters)[:4] == ["stack_name", "stack_id", "template", "param_values"]
    assert handlers_module._deploy_stack_async is changesets._deploy_stack_async is stacks._deploy_stack_async
    assert list(inspect.signature(engine._extract_deps).parameters) == ["resource_def", "all_resource_names"]
    assert engine._extract_deps({"UpdatePolicy": {"P": {"Ref": "Other"}}}, {"Other"}) == set()
    assert list(engine._intrinsic_references({"Ref": "Other"})) == [("Other", None)]
    assert list(inspect.signature(engine._resolve_refs).parameters) == [
        "value",
        "resources",
        "params",
        "conditions",
        "mappings",
        "stack_name",
        "stack_id",
    ]
    assert list(inspect.signature(engine._evaluate_conditions).parameters)[:2] == ["template", "params"]
    assert callable(sqs._queues.all_items)
    handlers = provisioners._RESOURCE_HANDLERS
    for updated in ("AWS::Lambda::Alias", "AWS::CloudWatch::Alarm"):
        assert handlers[updated]["update_with_logical_id"]
        assert list(inspect.signature(handlers[updated]["update"]).parameters)[:4] == [
            "physical_id",
            "old_props",
            "new_props",
            "stack_name",
        ]
    # Still unknown there: a type that MiniStack learns must leave the list, or it would stay recorded only.
    assert [name for name in RECORDED_ONLY_TYPES if name in handlers] == []
    assert list(inspect.signature(handlers["AWS::Lambda::Function"]["create"]).parameters)[:2] == [
        "logical_id",
        "props",
    ]
    of_schedule = handlers["AWS::Scheduler::Schedule"]
    assert list(inspect.signature(of_schedule["create"]).parameters) == ["logical_id", "props", "stack_name"]
    assert list(inspect.signature(of_schedule["update"]).parameters)[:3] == ["physical_id", "old_props", "new_props"]
    of_version = list(inspect.signature(handlers["AWS::Lambda::Version"]["create"]).parameters)
    assert of_version == ["logical_id", "props", "stack_name"]
    of_update = list(inspect.signature(handlers["AWS::Lambda::Function"]["update"]).parameters)
    assert of_update[:3] == ["physical_id", "old_props", "new_props"]
    of_buckets = handlers["AWS::S3::Bucket"]
    assert list(inspect.signature(of_buckets["create"]).parameters) == ["logical_id", "props", "stack_name"]
    assert list(inspect.signature(of_buckets["update"]).parameters)[:3] == ["physical_id", "old_props", "new_props"]
    assert s3._bucket_tags is not None
    assert list(inspect.signature(handlers["AWS::SQS::QueuePolicy"]["create"]).parameters) == [
        "logical_id",
        "props",
        "stack_name",
    ]


def test_a_missing_image_is_an_error_as_on_aws(cloud):
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="models")
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="digits"):
        ecr.describe_images(repositoryName="models", imageIds=[{"imageTag": "digits"}])
    ecr.put_image(repositoryName="models", imageManifest="{}", imageTag="digits")
    assert len(ecr.describe_images(repositoryName="models", imageIds=[{"imageTag": "digits"}])["imageDetails"]) == 1
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_images(repositoryName="none", imageIds=[{"imageTag": "digits"}])


def test_a_functions_file_system_is_kept(cloud):
    """MiniStack's CloudFormation drops it; the adapter does not."""
    access_point = {"Type": "AWS::EFS::AccessPoint", "Properties": {"FileSystemId": {"Ref": "Files"}}}
    access_point["Properties"]["RootDirectory"] = {"Path": "/models"}
    function = {
        "PackageType": "Image",
        "Code": {"ImageUri": "registry/repository:tag"},
        "Role": "arn:aws:iam::000000000000:role/r",
        "FileSystemConfigs": [{"Arn": {"Fn::GetAtt": ["Point", "Arn"]}, "LocalMountPath": "/mnt/models"}],
    }
    resources = {
        "Files": {"Type": "AWS::EFS::FileSystem", "Properties": {}},
        "Point": access_point,
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        "Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
    }
    outputs = {"Name": {"Value": {"Ref": "Function"}}, "Files": {"Value": {"Ref": "Files"}}}
    cloudformation = cloud.client("cloudformation")
    body = json.dumps({"Resources": resources, "Outputs": outputs})
    cloudformation.create_stack(StackName="Mounted", TemplateBody=body)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="Mounted", WaiterConfig={"Delay": 1})
    described = cloudformation.describe_stacks(StackName="Mounted")["Stacks"][0]
    values = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    (config,) = cloud.client("lambda").get_function_configuration(FunctionName=values["Name"], Qualifier="1")[
        "FileSystemConfigs"
    ]
    assert config["LocalMountPath"] == "/mnt/models"
    assert cloud.access_point(config["Arn"]) == (values["Files"], "/models")


def ended(cloudformation, name, *statuses):
    """The stack's description, when its status is one of these."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        if stack["StackStatus"] in statuses:
            return stack
        time.sleep(0.05)
    raise AssertionError(stack)


@pytest.mark.parametrize("tagged", [True, False])
def test_a_bucket_is_emptied_with_its_stack(cloud, tagged):
    """CDK's own function needs the SDK of Lambda's Node runtime, and would never answer here."""
    properties = {"BucketName": f"models-{tagged}".lower(), "VersioningConfiguration": {"Status": "Enabled"}}
    if tagged:
        properties["Tags"] = [{"Key": "aws-cdk:auto-delete-objects", "Value": "true"}]
    emptier = {
        "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:cdk",
        "BucketName": {"Ref": "Bucket"},
    }
    resources = {
        # Retained, because MiniStack deletes buckets that are not empty.
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties, "DeletionPolicy": "Retain"},
        "Emptier": {"Type": "Custom::S3AutoDeleteObjects", "Properties": emptier},
    }
    name = f"Emptied{tagged}"
    cloudformation = cloud.client("cloudformation")
    stack_id = cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))["StackId"]
    ended(cloudformation, name, "CREATE_COMPLETE")
    s3 = cloud.client("s3")
    for content in (b"1", b"2"):
        s3.put_object(Bucket=properties["BucketName"], Key="kept", Body=content)
        s3.put_object(Bucket=properties["BucketName"], Key="deleted", Body=content)
    s3.delete_object(Bucket=properties["BucketName"], Key="deleted")
    cloudformation.delete_stack(StackName=name)
    ended(cloudformation, stack_id, "DELETE_COMPLETE")
    left = s3.list_object_versions(Bucket=properties["BucketName"])
    assert len(left.get("Versions", ())) == (0 if tagged else 4)
    assert len(left.get("DeleteMarkers", ())) == (0 if tagged else 1)


def test_a_custom_resource_whose_function_fails_is_not_waited_for(cloud, monkeypatch):
    def fail(arn, payload):
        return InvocationResult(b'{"errorMessage": "no module"}', "Unhandled", record=None)

    monkeypatch.setattr(cloud, "_invoke_image", fail)
    cloud.client("lambda").create_function(
        FunctionName="failing",
        Role="arn:aws:iam::000000000000:role/r",
        PackageType="Image",
        Code={"ImageUri": "registry/repository:tag"},
    )
    token = "arn:aws:lambda:us-east-1:000000000000:function:failing"
    template = {"Resources": {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": token}}}}
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName="Failing", TemplateBody=json.dumps(template))
    ended(cloudformation, "Failing", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
    events = cloudformation.describe_stack_events(StackName="Failing")["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    assert any("ended without an answer" in reason and "no module" in reason for reason in reasons)


def test_the_cloud_listens_on_loopback_only(cloud):
    port = int(cloud.endpoint_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    addresses = {entry.partition(":")[0] for entry in listening if int(entry.partition(":")[2], 16) == port}
    assert addresses == {"0100007F"}


def test_a_second_cloud_in_the_process_is_refused(cloud):
    with pytest.raises(CloudError, match="already runs"):
        EmbeddedCloud(invoke_nothing).start()


def test_the_callers_environment_is_kept_apart(cloud):
    assert "GATEWAY_PORT" in os.environ
    assert "GATEWAY_PORT" not in cloud.caller_environment()


def test_unknown_types_are_recorded_and_known_ones_are_not(cloud):
    assert cloud.unknown_types(["AWS::SQS::Queue", "AWS::Deadline::Farm", "Custom::Thing"]) == ["AWS::Deadline::Farm"]
    cloud.record_only(["AWS::SQS::Queue", "AWS::Deadline::Farm"])
    assert cloud.is_recorded_only("AWS::Deadline::Farm")
    assert not cloud.is_recorded_only("AWS::SQS::Queue")
    template = {"Resources": {"Farm": {"Type": "AWS::Deadline::Farm", "Properties": {"DisplayName": "f"}}}}
    client = cloud.client("cloudformation")
    client.create_stack(StackName="recorded", TemplateBody=json.dumps(template))
    client.get_waiter("stack_create_complete").wait(StackName="recorded", WaiterConfig={"Delay": 1})
    (summary,) = client.list_stack_resources(StackName="recorded")["StackResourceSummaries"]
    assert summary["LogicalResourceId"] == "Farm"


def deploy(cloud, name, resources, *, update=False):
    client = cloud.client("cloudformation")
    arguments = {"StackName": name, "TemplateBody": json.dumps({"Resources": resources})}
    (client.update_stack if update else client.create_stack)(**arguments)
    waiter = client.get_waiter("stack_update_complete" if update else "stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1})


def delete(cloud, name):
    client = cloud.client("cloudformation")
    client.delete_stack(StackName=name)
    client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def test_schedules_are_read_with_everything_that_the_template_says(cloud):
    """MiniStack's CloudFormation drops time zone, start and end; the adapter does not."""
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    properties = {
        "Name": "morning",
        "ScheduleExpression": "cron(0 8 * * ? *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": "2027-01-01T00:00:00Z",
        "EndDate": "2027-12-31T00:00:00Z",
        "State": "DISABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": arn,
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "RetryPolicy": {"MaximumRetryAttempts": 0},
        },
    }
    rule = {"Name": "rule", "ScheduleExpression": "rate(1 minute)", "Targets": [{"Id": "1", "Arn": arn}]}
    patterned = {"Name": "pattern", "EventPattern": {"source": ["x"]}}
    resources = {
        "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties},
        "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
        "Patterned": {"Type": "AWS::Events::Rule", "Properties": patterned},
    }
    deploy(cloud, "Scheduled", resources)
    found = {entry.record["Name"]: entry for entry in cloud.schedules()}
    assert sorted(found) == ["morning", "rule"]
    schedule = found["morning"]
    assert (schedule.account, schedule.region, schedule.is_rule) == ("000000000000", "us-east-1", False)
    for name in ("ScheduleExpressionTimezone", "StartDate", "EndDate", "State"):
        assert schedule.record[name] == properties[name]
    assert schedule.targets == (properties["Target"],)
    assert [target["Arn"] for target in found["rule"].targets] == [arn]
    for name in ("ScheduleExpressionTimezone", "StartDate", "EndDate", "State"):
        del properties[name]
    deploy(cloud, "Scheduled", resources, update=True)
    record = next(e.record for e in cloud.schedules() if e.record["Name"] == "morning")
    assert (record["ScheduleExpressionTimezone"], record["StartDate"], record["State"]) == ("UTC", None, "ENABLED")
    delete(cloud, "Scheduled")
    assert cloud.schedules() == []


def test_what_a_rules_target_receives(cloud):
    event = {
        "EventId": "e",
        "Source": "aws.events",
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "Time": 1_800_000_000,
        "Resources": ["arn"],
        "Account": "000000000000",
        "Region": "us-east-1",
    }
    rule = CloudSchedule("000000000000", "us-east-1", {"Name": "rule", "Arn": "arn"}, (), is_rule=True)

    def received(**target):
        return json.loads(cloud.event_for_target(rule, target, event))

    assert received()["detail-type"] == "Scheduled Event"
    assert received(Input='{"a": 1}') == {"a": 1}
    assert received(InputPath="$.source") == "aws.events"
    assert received(InputPath="$.nothing")["id"] == "e"
    transformer = {"InputPathsMap": {"when": "$.time"}, "InputTemplate": '{"at": <when>}'}
    assert received(InputTransformer=transformer) == {"at": "2027-01-15T08:00:00Z"}


def test_recorded_resources_are_read_and_leave_when_they_are_deleted(cloud):
    kind = "AWS::ApplicationAutoScaling::ScalableTarget"
    deploy(cloud, "Scaled", {"Target": {"Type": kind, "Properties": {"MinCapacity": 1}}})
    (target,) = cloud.recorded(kind)
    assert (target.properties, target.account, target.region) == ({"MinCapacity": 1}, "000000000000", "us-east-1")
    delete(cloud, "Scaled")
    assert cloud.recorded(kind) == []


def test_ministack_fires_nothing_itself(cloud):
    from ministack.services import eventbridge, scheduler

    before = time.time() - 3600
    scheduler._schedules._data["000000000000", "us-east-1", "default/old"] = {
        "Name": "old",
        "State": "ENABLED",
        "ScheduleExpression": "rate(1 minute)",
        "CreationDate": before,
        "Target": {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:f", "RoleArn": "r"},
    }
    try:
        scheduler._tick_schedules()
        eventbridge._tick_scheduled_rules()
        assert not scheduler._schedule_last_fired
    finally:
        del scheduler._schedules._data["000000000000", "us-east-1", "default/old"]


def test_deployed_functions_are_read_as_they_are_now(cloud):
    client = cloud.client("lambda")
    arn = FunctionArn("000000000000", "us-east-1", "adapter")
    assert cloud.function(arn) is None
    client.create_function(
        FunctionName="adapter",
        Role="arn:aws:iam::000000000000:role/r",
        PackageType="Image",
        Code={"ImageUri": "registry/repository:tag"},
        ImageConfig={"Command": ["a.handler"]},
        Environment={"Variables": {"A": "b"}},
        Timeout=9,
        MemorySize=512,
    )
    one = client.publish_version(FunctionName="adapter")["Version"]
    client.update_function_configuration(FunctionName="adapter", Timeout=10)
    two = client.publish_version(FunctionName="adapter")["Version"]
    client.create_alias(
        FunctionName="adapter",
        Name="live",
        FunctionVersion=one,
        RoutingConfig={"AdditionalVersionWeights": {two: 0.5}},
    )
    client.put_function_concurrency(FunctionName="adapter", ReservedConcurrentExecutions=3)
    client.put_provisioned_concurrency_config(
        FunctionName="adapter", Qualifier="live", ProvisionedConcurrentExecutions=2
    )
    client.put_function_event_invoke_config(
        FunctionName="adapter", Qualifier="live", MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60
    )
    deployed = cloud.function(arn)
    assert deployed.asynchronous_policy("live") == AsynchronousPolicy(0, 60)
    assert deployed.asynchronous_policy(None) == AsynchronousPolicy(2, 21_600)
    assert deployed.reserved_concurrency == 3
    assert deployed.provisioned_concurrency == {"live": 2}
    assert deployed.version_of("live", lambda: 0.4) == two
    assert deployed.version_of("live", lambda: 0.6) == one
    configuration = deployed.configuration(one)
    assert configuration.image_uri == "registry/repository:tag"
    assert configuration.command == ("a.handler",)
    assert configuration.environment == {"A": "b"}
    assert (configuration.timeout_seconds, configuration.memory_mb) == (9, 512)
    assert deployed.configuration(two).timeout_seconds == 10


def test_a_throttled_invocation_is_what_boto3_expects(cloud, monkeypatch):
    client = cloud.client("lambda")
    client.create_function(
        FunctionName="throttled",
        Role="arn:aws:iam::000000000000:role/r",
        PackageType="Image",
        Code={"ImageUri": "registry/repository:tag"},
    )

    def refuse(arn, payload):
        raise TooManyRequests("Rate Exceeded.")

    monkeypatch.setattr(cloud, "_invoke_image", refuse)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="throttled", Payload=b"{}")


def test_alarms_of_metric_math_deploy_and_are_kept_with_the_others(cloud):
    """MiniStack refuses the former."""
    simple = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    math = {
        "Metrics": [{"Id": "e", "Expression": "1 + 1"}],
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }

    def template(threshold):
        resources = {
            "Simple": {"Type": "AWS::CloudWatch::Alarm", "Properties": {**simple, "Threshold": threshold}},
            "Math": {"Type": "AWS::CloudWatch::Alarm", "Properties": {**math, "Threshold": threshold}},
        }
        outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Math", "Arn"]}}}
        return json.dumps({"Resources": resources, "Outputs": outputs})

    cloudformation = cloud.client("cloudformation")

    def settled():
        for _ in range(500):
            stack = cloudformation.describe_stacks(StackName="Alarms")["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return stack
            time.sleep(0.02)
        raise AssertionError(stack["StackStatus"])

    def thresholds():
        return sorted(float(alarm.properties["Threshold"]) for alarm in cloud.recorded("AWS::CloudWatch::Alarm"))

    cloudformation.create_stack(StackName="Alarms", TemplateBody=template(1))
    stack = settled()
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"][0]["OutputValue"].endswith(":alarm:Alarms-Math")
    assert thresholds() == [1, 1]
    assert len(cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]) == 1
    cloudformation.update_stack(StackName="Alarms", TemplateBody=template(2))
    assert settled()["StackStatus"] == "UPDATE_COMPLETE"
    assert thresholds() == [2, 2]
    cloudformation.delete_stack(StackName="Alarms")
    for _ in range(500):
        if not thresholds():
            break
        time.sleep(0.02)
    assert thresholds() == []


def test_queues_are_told_with_their_depth_and_age(cloud):
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="looked-at")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (state,) = [queue for queue in cloud.queues.states() if queue.name == "looked-at"]
    assert state.visible == 1
    assert 0 <= state.oldest_seconds < 30
    sqs.delete_queue(QueueUrl=url)


def test_stopping_restores_what_was_changed_and_a_new_cloud_is_empty(cloud):
    from ministack.services import lambda_svc
    from ministack.services.cloudformation import provisioners

    assert lambda_svc._execute_function_docker == cloud._execute_image
    cloud.stop()
    assert "GATEWAY_PORT" not in os.environ
    assert lambda_svc._execute_function_docker != cloud._execute_image
    assert "AWS::Deadline::Farm" not in provisioners._RESOURCE_HANDLERS
    assert "EmbeddedCloud" not in provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]["create"].__qualname__
    assert "EmbeddedCloud" not in lambda_svc._snapstart_provision_version_async.__qualname__
    assert "Custom::S3AutoDeleteObjects" not in provisioners._RESOURCE_HANDLERS
    again = EmbeddedCloud(invoke_nothing)
    again.start()
    try:
        assert again.function(FunctionArn("000000000000", "us-east-1", "adapter")) is None
        assert again.client("cloudformation").describe_stacks()["Stacks"] == []
    finally:
        again.stop()
