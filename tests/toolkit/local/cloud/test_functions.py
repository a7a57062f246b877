"""Deployed functions are read in memory, and image functions run in the Lambda host."""

import json

import pytest

from onnx_inference.local.lambda_host.function_configuration import AsynchronousPolicy, FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationResult, TooManyRequests
from tests.toolkit.local.cloud.conftest import ended


def test_deployed_functions_are_read_as_they_are_now(cloud):
    client = cloud.client("lambda")
    arn = FunctionArn("000000000000", "us-east-1", "deployed")
    assert cloud.functions.get(arn) is None
    client.create_function(
        FunctionName="deployed",
        Role="arn:aws:iam::000000000000:role/r",
        PackageType="Image",
        Code={"ImageUri": "registry/repository:tag"},
        ImageConfig={"Command": ["a.handler"]},
        Environment={"Variables": {"A": "b"}},
        Timeout=9,
        MemorySize=512,
    )
    one = client.publish_version(FunctionName="deployed")["Version"]
    client.update_function_configuration(FunctionName="deployed", Timeout=10)
    two = client.publish_version(FunctionName="deployed")["Version"]
    client.create_alias(
        FunctionName="deployed",
        Name="live",
        FunctionVersion=one,
        RoutingConfig={"AdditionalVersionWeights": {two: 0.5}},
    )
    client.put_function_concurrency(FunctionName="deployed", ReservedConcurrentExecutions=3)
    client.put_provisioned_concurrency_config(
        FunctionName="deployed", Qualifier="live", ProvisionedConcurrentExecutions=2
    )
    client.put_function_event_invoke_config(
        FunctionName="deployed", Qualifier="live", MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60
    )
    deployed = cloud.functions.get(arn)
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


def test_a_functions_file_system_is_kept(cloud):
    """MiniStack's CloudFormation drops it; the twin keeps it."""
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

    monkeypatch.setattr(cloud.functions, "invoke_image", refuse)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="throttled", Payload=b"{}")


def test_a_custom_resource_whose_function_fails_is_not_waited_for(cloud, monkeypatch):
    def fail(arn, payload):
        return InvocationResult(b'{"errorMessage": "no module"}', "Unhandled", record=None)

    monkeypatch.setattr(cloud.functions, "invoke_image", fail)
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
