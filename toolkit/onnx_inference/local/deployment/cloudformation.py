"""Deploying the stacks of a cloud assembly by CloudFormation's API, without the CDK CLI."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.deployment.bootstrap import AssetStore
from onnx_inference.local.deployment.cloud_assembly import StackArtifact

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_NESTED_STACK = "AWS::CloudFormation::Stack"
_POLL_SECONDS = 0.02
_TIMEOUT_SECONDS = 600.0


class DeploymentError(RuntimeError):
    """A stack could not be deployed; the message has the events that say why."""


@dataclass(frozen=True)
class DeployedStack:
    """A stack as CloudFormation knows it."""

    name: str
    account: str
    region: str
    status: str
    outputs: Mapping[str, str]


class CloudFormation:
    """Creates, updates and deletes stacks in the embedded cloud.

    Args:
        cloud: The embedded cloud.
        account: The account of stacks that name none.
        region: The region of stacks that name none.
        shifting: Tells whether traffic is being shifted to a new version. The time limit of an update does not run
            meanwhile.
    """

    def __init__(
        self, cloud: EmbeddedCloud, account: str, region: str, *, shifting: Callable[[], bool] = lambda: False
    ) -> None:
        self._cloud = cloud
        self._shifting = shifting
        self._account = account
        self._region = region
        self._stores: dict[tuple[str, str], AssetStore] = {}

    def environment_of(self, stack: StackArtifact) -> tuple[str, str]:
        """The account and region that a stack is deployed to."""
        return stack.account or self._account, stack.region or self._region

    def seed_images(self, stack: StackArtifact) -> None:
        """Put a placeholder for each image of a stack, so that no image has to be built."""
        store = self._store(stack)
        for image in stack.image_assets:
            store.put_placeholder(image)

    def deploy(self, stack: StackArtifact) -> DeployedStack:
        """Create the stack, or update it when it exists.

        Raises:
            DeploymentError: CloudFormation refused it or rolled it back.
        """
        store = self._store(stack)
        store.bootstrap()
        for asset in stack.file_assets:
            store.upload(asset)
        self.seed_images(stack)
        account, region = self.environment_of(stack)
        cloudformation = self._client(stack)
        arguments = {
            "StackName": stack.stack_name,
            "Capabilities": _CAPABILITIES,
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in stack.parameters.items()],
            "Tags": [{"Key": name, "Value": value} for name, value in stack.tags.items()],
            **self._template(stack, account, region),
        }
        before = _describe_stack(cloudformation, stack.stack_name)
        seen = _event_ids(cloudformation, stack.stack_name) if before else set()
        client_error = cloudformation.exceptions.ClientError
        try:
            if before is None:
                cloudformation.create_stack(**arguments)
            else:
                cloudformation.update_stack(**arguments)
        except client_error as error:
            message = str(error.response["Error"]["Message"])
            if before is not None and "No updates are to be performed" in message:
                return _deployed(before, account, region)
            raise DeploymentError(f"{stack.stack_name}: {message}") from error
        after = self._wait(cloudformation, stack.stack_name)
        if (
            after is None
            or not after["StackStatus"].endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE"))
            or ("ROLLBACK" in after["StackStatus"])
        ):
            raise DeploymentError(_failure(cloudformation, stack.stack_name, after, seen))
        return _deployed(after, account, region)

    def delete(self, stack: StackArtifact) -> None:
        """Delete the stack and wait until it is gone.

        Raises:
            DeploymentError: Something could not be deleted.
        """
        cloudformation = self._client(stack)
        found = _describe_stack(cloudformation, stack.stack_name)
        if found is None:
            return
        seen = _event_ids(cloudformation, stack.stack_name)
        cloudformation.delete_stack(StackName=stack.stack_name)
        after = self._wait(cloudformation, stack.stack_name)
        if after is not None and after["StackStatus"] != "DELETE_COMPLETE":
            raise DeploymentError(_failure(cloudformation, stack.stack_name, after, seen))

    def describe(self, stack: StackArtifact) -> DeployedStack | None:
        """The stack as it is now; None when it is not deployed."""
        account, region = self.environment_of(stack)
        found = _describe_stack(self._client(stack), stack.stack_name)
        return None if found is None else _deployed(found, account, region)

    def resources(self, stack: StackArtifact) -> list[dict[str, Any]]:
        """The summaries of the stack's resources."""
        return _stack_resources(self._client(stack), stack.stack_name)

    def all_resources(self, stack: StackArtifact) -> list[dict[str, Any]]:
        """The summaries of the resources of the stack and of those nested in it."""
        cloudformation = self._client(stack)

        def resources(name: str) -> list[dict[str, Any]]:
            found = _stack_resources(cloudformation, name)
            nested = [s["PhysicalResourceId"] for s in found if s["ResourceType"] == _NESTED_STACK]
            return [*found, *(summary for inner in nested for summary in resources(inner))]

        return resources(stack.stack_name)

    def _template(self, stack: StackArtifact, account: str, region: str) -> dict[str, str]:
        """The template itself, or its URL when it is too long for a request."""
        body = json.dumps(stack.template, separators=(",", ":"))
        if len(body.encode()) <= 51_200:
            return {"TemplateBody": body}
        bucket = f"onnx-inference-templates-{account}-{region}"
        key = f"{stack.stack_name}.json"
        store = self._store(stack)
        store.put_text(bucket, key, body)
        return {"TemplateURL": f"{self._cloud.endpoint_url}/{bucket}/{key}"}

    def _store(self, stack: StackArtifact) -> AssetStore:
        environment = self.environment_of(stack)
        if environment not in self._stores:
            self._stores[environment] = AssetStore(self._cloud, *environment)
        return self._stores[environment]

    def _client(self, stack: StackArtifact) -> Any:
        account, region = self.environment_of(stack)
        return self._cloud.client("cloudformation", account=account, region=region)

    def _wait(self, cloudformation: Any, name: str) -> dict[str, Any] | None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            found = _describe_stack(cloudformation, name)
            if found is None or not found["StackStatus"].endswith("_IN_PROGRESS"):
                return found
            if self._shifting():
                deadline = time.monotonic() + _TIMEOUT_SECONDS
            time.sleep(_POLL_SECONDS)
        raise DeploymentError(f"{name}: not finished after {_TIMEOUT_SECONDS:.0f} seconds")


def _describe_stack(cloudformation: Any, name: str) -> dict[str, Any] | None:
    """The description of a stack; None when there is none."""
    try:
        stacks = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    found: dict[str, Any] | None = next((s for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"), None)
    return found


def _stack_resources(cloudformation: Any, name: str) -> list[dict[str, Any]]:
    """The summaries of a stack's resources, from all pages."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [summary for page in pages for summary in page["StackResourceSummaries"]]


def _deployed(description: Mapping[str, Any], account: str, region: str) -> DeployedStack:
    outputs = {output["OutputKey"]: str(output["OutputValue"]) for output in description.get("Outputs", ())}
    return DeployedStack(description["StackName"], account, region, description["StackStatus"], outputs)


def _events(cloudformation: Any, name: str) -> list[dict[str, Any]]:
    try:
        events: list[dict[str, Any]] = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    except cloudformation.exceptions.ClientError:
        return []
    return events


def _event_ids(cloudformation: Any, name: str) -> set[str]:
    return {event["EventId"] for event in _events(cloudformation, name)}


def _failure(cloudformation: Any, name: str, description: Mapping[str, Any] | None, seen: Iterable[str]) -> str:
    known = set(seen)
    status = "gone" if description is None else description["StackStatus"]
    lines = [
        f"  {event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatusReason']}"
        for event in reversed(_events(cloudformation, name))
        if event["EventId"] not in known
        and event["ResourceStatus"].endswith("FAILED")
        and event.get("ResourceStatusReason")
    ]
    reason = "" if description is None else str(description.get("StackStatusReason", ""))
    return "\n".join([f"{name}: {status}. {reason}".rstrip(), *lines])
