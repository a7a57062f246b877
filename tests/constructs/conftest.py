"""A stack with the recommended feature flags, and a model for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import assertions as cdk_assertions

from cdk_onnx_inference import InvalidInferenceConfig, ModelSource
from tests.support import models, synth


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack called Shop."""
    return Stack(synth.new_app(tmp_path / "cdk.out"), "Shop")


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare model, in a directory called digits."""
    directory = tmp_path_factory.mktemp("models") / "digits"
    models.save(models.matmul(), directory)
    return directory / "model.onnx"


@pytest.fixture
def model(model_path: Path) -> ModelSource:
    """A source of that model."""
    return ModelSource.in_image(model_path)


Codes = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def codes() -> Codes:
    """The codes of the problems that a call raises, in order."""

    def of(call: Callable[[], object]) -> list[str]:
        with pytest.raises(InvalidInferenceConfig) as raised:
            call()
        return [problem.code for problem in raised.value.problems]

    return of


def properties(stack: Stack, resource_type: str) -> list[dict[str, Any]]:
    """The properties of all resources of a type."""
    return [made["Properties"] for made in synth.resources_of(synth.template_of(stack), resource_type)]


def warnings(stack: Stack) -> list[str]:
    """The texts of all warnings of a stack, with their ids."""
    found = cdk_assertions.Annotations.from_stack(stack).find_warning("*", cdk_assertions.Match.any_value())
    return [str(entry.entry.data) for entry in found]


def routes(made: synth.Template) -> list[tuple[str, str]]:
    """(method, path template) of an API of either kind."""
    found = [
        tuple(route["Properties"]["RouteKey"].split(" ", 1))
        for route in synth.resources_of(made, "AWS::ApiGatewayV2::Route")
    ]
    resources = made["Resources"]

    def path(reference: dict[str, Any]) -> str:
        resource = resources.get(reference.get("Ref"))
        if resource is None or resource["Type"] != "AWS::ApiGateway::Resource":
            return ""
        properties = resource["Properties"]
        return f"{path(properties['ParentId'])}/{properties['PathPart']}"

    for method in synth.resources_of(made, "AWS::ApiGateway::Method"):
        found.append((method["Properties"]["HttpMethod"], path(method["Properties"]["ResourceId"])))
    return sorted(found)
