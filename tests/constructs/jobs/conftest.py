"""A service with jobs, and what its template says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from cdk_onnx_inference import AsyncInference, InferenceFunction, ModelSource
from tests.support import synth

COMMANDS = {
    "JobApi": "onnx_handler.job_api.handler",
    "Worker": "onnx_handler.queue.handler",
    "DeadLetters": "onnx_handler.dead_letters.handler",
    "Sweeper": "onnx_handler.sweep.handler",
}
SERVICE = "onnx_handler.http.handler"

Make = Callable[..., AsyncInference]


@pytest.fixture
def make(stack: Stack, model: ModelSource) -> Make:
    """Makes a service with jobs. Options of the inference function are given as `function=`."""

    def of(function: dict[str, Any] | None = None, **options: Any) -> AsyncInference:
        service = InferenceFunction(stack, "Digits", **{"model": model, **(function or {})})
        return AsyncInference(stack, "Jobs", function=service, **options)

    return of


def template(jobs: AsyncInference) -> synth.Template:
    return synth.template_of(Stack.of(jobs))


def functions(made: synth.Template) -> dict[str, dict[str, Any]]:
    """Command -> properties, of the functions that run the image."""
    return {
        function["Properties"]["ImageConfig"]["Command"][0]: function["Properties"]
        for function in synth.resources_of(made, "AWS::Lambda::Function")
        if "ImageConfig" in function["Properties"]
    }


def variables(made: synth.Template, function: str) -> dict[str, Any]:
    found: dict[str, Any] = functions(made)[COMMANDS.get(function, function)]["Environment"]["Variables"]
    return found


def reference(jobs: AsyncInference, value: Any) -> Any:
    return Stack.of(jobs).resolve(value)


def allowed(jobs: AsyncInference, role: iam.IRole) -> dict[str, list[str]]:
    """Action -> resources, of what a role's policies allow."""
    made = template(jobs)
    (logical_id,) = reference(jobs, role.role_name).values()
    documents = [policy["PolicyDocument"] for policy in made["Resources"][logical_id]["Properties"]["Policies"]]
    documents += [
        policy["Properties"]["PolicyDocument"]
        for policy in synth.resources_of(made, "AWS::IAM::Policy")
        if {"Ref": logical_id} in policy["Properties"]["Roles"]
    ]
    found: dict[str, list[str]] = {}
    for document in documents:
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for action in actions:
                found.setdefault(action, []).extend(text_of(resource) for resource in resources)
    return found


def text_of(value: Any) -> str:
    """A resource of a statement: `<Logical id.Attribute>` stands for what is known at deployment."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return "".join(map(text_of, argument[1]))
    return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"
