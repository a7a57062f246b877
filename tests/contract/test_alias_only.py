"""Whatever invokes a function goes through its alias: what bypasses it bypasses versions, permissions and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdk_onnx_inference import ApiAuth, ApiType, ModelSource
from stacks.async_jobs import AsyncJobs
from stacks.large_model import LargeModel, Source
from stacks.realtime import Realtime
from tests.support import models, synth

OF_THE_FUNCTION_ITSELF = {"AWS::Lambda::Version", "AWS::Lambda::Alias"}


KINDS: dict[str, dict[str, Any]] = {
    "http": {},
    "rest": {"api_type": ApiType.rest_api()},
    "api-key": {"api_type": ApiType.rest_api(), "auth": ApiAuth.api_key()},
}


@pytest.fixture(params=[*sorted(KINDS), *Source, "jobs"])
def template(request: pytest.FixtureRequest, tmp_path: Path) -> synth.Template:
    """Realtime with each kind of API, LargeModel with each source, and AsyncJobs."""
    path = models.save_package(tmp_path / "digits")
    app = synth.new_app(tmp_path / "cdk.out")
    if isinstance(request.param, Source):
        return synth.template_of(LargeModel(app, "LargeModel", path=path, source=request.param))
    if request.param == "jobs":
        return synth.template_of(AsyncJobs(app, "AsyncJobs", path=path))
    return synth.template_of(Realtime(app, "Realtime", model=ModelSource.in_image(path), **KINDS[request.param]))


def references(value: Any) -> Iterator[str]:
    """Logical ids that a part of a template refers to."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list):
            yield value["Fn::GetAtt"][0]
        for item in value.values():
            yield from references(item)


def test_nothing_but_its_versions_refers_to_the_function(template: synth.Template) -> None:
    functions = {name for name, made in template["Resources"].items() if made["Type"] == "AWS::Lambda::Function"}
    assert functions
    bypassing = {
        name: made["Type"]
        for name, made in template["Resources"].items()
        if made["Type"] not in OF_THE_FUNCTION_ITSELF and functions & set(references(made.get("Properties", {})))
    }
    for name in [name for name, resource_type in bypassing.items() if resource_type.startswith("Custom::")]:
        bypassing.pop(name)
        (provider,) = set(references(template["Resources"][name]["Properties"]["ServiceToken"]))
        command = template["Resources"][provider]["Properties"].get("ImageConfig", {}).get("Command")
        assert command in (None, ["onnx_handler.publish.handler"])  # CloudFormation calls functions, not aliases
    assert bypassing == {}


def test_integrations_and_permissions_refer_to_an_alias(template: synth.Template) -> None:
    aliases = {name for name, made in template["Resources"].items() if made["Type"] == "AWS::Lambda::Alias"}
    invoking = [
        made["Properties"]
        for kind in (
            "AWS::Lambda::Permission",
            "AWS::Lambda::EventSourceMapping",
            "AWS::Scheduler::Schedule",
            "AWS::ApiGatewayV2::Integration",
            "AWS::ApiGateway::Method",
        )
        for made in synth.resources_of(template, kind)
    ]
    assert len(invoking) >= 2
    assert [properties for properties in invoking if not aliases & set(references(properties))] == []
