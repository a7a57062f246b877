"""An embedded cloud for the tests of a module."""

import json
import time

import pytest

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud

pytest.importorskip("ministack")


def invoke_nothing(arn, payload):
    raise AssertionError("not called")


@pytest.fixture(scope="module")
def cloud():
    cloud = EmbeddedCloud(invoke_nothing)
    cloud.start()
    yield cloud
    cloud.stop()


def ended(cloudformation, name, *statuses):
    """Waits until the status of a stack is one of these, and gives the stack's description."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        if stack["StackStatus"] in statuses:
            return stack
        time.sleep(0.05)
    raise AssertionError(stack)


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
