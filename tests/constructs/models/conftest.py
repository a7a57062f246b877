"""A model package, and what the templates of its functions say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack

from cdk_onnx_inference import InferenceFunction
from tests.support import models, synth

BUCKET = "B" * 44


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A model package directory."""
    return models.save_package(tmp_path / "digits")


def text(value: Any) -> str:
    """A value of the environment, with the asset bucket's name as some text."""
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else BUCKET for part in value["Fn::Join"][1])


def variables(stack: Stack, model: Any, **options: Any) -> dict[str, str]:
    InferenceFunction(stack, "Digits", model=model, **options)
    made = synth.template_of(stack)["Resources"]
    (function,) = (
        entry["Properties"]
        for entry in made.values()
        if entry["Type"] == "AWS::Lambda::Function"
        and entry["Properties"].get("ImageConfig") == {"Command": ["onnx_handler.http.handler"]}
    )
    return {name: text(value) for name, value in function["Environment"]["Variables"].items()}


def staged(stack: Stack) -> Path:
    template = synth.template_of(stack)
    app = stack.node.root
    assert isinstance(app, App)
    for made in synth.resources_of(template, "AWS::Lambda::Function"):
        if made["Properties"].get("ImageConfig") == {"Command": ["onnx_handler.http.handler"]}:
            return Path(app.outdir) / f"asset.{json.dumps(made['Properties']['Code']).rpartition(':')[2][:64]}"
    raise AssertionError


def functions(template: synth.Template) -> dict[str, dict[str, Any]]:
    """Command -> properties, of our own functions."""
    return {
        made["Properties"]["ImageConfig"]["Command"][0]: made["Properties"]
        for made in synth.resources_of(template, "AWS::Lambda::Function")
        if "ImageConfig" in made["Properties"]
    }


def logical_id(template: synth.Template, part: str, resource_type: str) -> str:
    (found,) = (name for name, made in template["Resources"].items() if part in name and made["Type"] == resource_type)
    return str(found)


def statements(template: synth.Template, role: str, policy: str) -> list[dict[str, Any]]:
    made = template["Resources"][logical_id(template, role, "AWS::IAM::Role")]
    (found,) = (
        entry["PolicyDocument"]["Statement"]
        for entry in made["Properties"]["Policies"]
        if entry["PolicyName"] == policy
    )
    return list(found)


def resource(template: synth.Template) -> tuple[str, dict[str, Any]]:
    ((name, made),) = (
        (name, made) for name, made in template["Resources"].items() if made["Type"] == "Custom::OnnxModel"
    )
    return name, made
