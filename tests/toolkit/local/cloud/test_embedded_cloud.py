"""The embedded cloud starts on loopback, once in a process, and leaves nothing behind when it stops."""

import os
import socket
from pathlib import Path

import pytest

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloud.server import CloudError
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from tests.toolkit.local.cloud.conftest import invoke_nothing


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


def test_stopping_restores_what_was_changed_and_a_new_cloud_is_empty(cloud):
    from ministack.services import lambda_svc
    from ministack.services.cloudformation import provisioners

    assert lambda_svc._execute_function_docker == cloud.functions.execute_image
    cloud.recorded.accept(["AWS::Deadline::Farm"])
    cloud.client("lambda").create_function(
        FunctionName="deployed",
        Role="arn:aws:iam::000000000000:role/r",
        PackageType="Image",
        Code={"ImageUri": "registry/repository:tag"},
    )
    deployed = FunctionArn("000000000000", "us-east-1", "deployed")
    assert cloud.functions.get(deployed) is not None
    cloud.stop()
    assert "GATEWAY_PORT" not in os.environ
    assert lambda_svc._execute_function_docker != cloud.functions.execute_image
    assert "AWS::Deadline::Farm" not in provisioners._RESOURCE_HANDLERS
    assert "Patches" not in provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]["create"].__qualname__
    assert "Snapshots" not in lambda_svc._snapstart_provision_version_async.__qualname__
    assert "Custom::S3AutoDeleteObjects" not in provisioners._RESOURCE_HANDLERS
    again = EmbeddedCloud(invoke_nothing)
    again.start()
    try:
        assert again.functions.get(deployed) is None
        assert again.client("cloudformation").describe_stacks()["Stacks"] == []
    finally:
        again.stop()
