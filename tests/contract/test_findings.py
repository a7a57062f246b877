"""What linters say of the prebuilt stacks: nothing that is not accepted in `stacks/acknowledgements.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from cdk_onnx_inference import ApiAuth, ApiType, ModelSource
from stacks.realtime import Realtime
from tests.support import models, synth

ALWAYS = {
    ("AwsSolutions::AwsSolutions-IAM5[Resource::*]", "Realtime/Inference/Role"),
    ("Serverless::Serverless-LambdaDLQ", "Realtime/Inference/Function"),
}
REST = {
    ("AwsSolutions::AwsSolutions-APIG2", "Realtime/Api"),
    ("AwsSolutions::AwsSolutions-APIG3", "Realtime/Api"),
    ("AwsSolutions::AwsSolutions-APIG6", "Realtime/Api"),
    ("AwsSolutions::AwsSolutions-COG4", "Realtime/Api"),
}
ACCOUNT_LOG_ROLE = {
    (
        "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]",
        "Realtime/Api",
    )
}
UNAUTHORISED = {("AwsSolutions::AwsSolutions-APIG4", "Realtime/Api")}

KINDS: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "http": ({}, ALWAYS),
    "http-none": ({"auth": ApiAuth.none(reason="a test")}, ALWAYS | UNAUTHORISED),
    "rest": ({"api_type": ApiType.rest_api()}, ALWAYS | REST),
    "rest-log-role": ({"api_type": ApiType.rest_api(account_log_role=True)}, ALWAYS | REST | ACCOUNT_LOG_ROLE),
    "rest-api-key": ({"api_type": ApiType.rest_api(), "auth": ApiAuth.api_key()}, ALWAYS | REST | UNAUTHORISED),
}


def realtime(tmp_path: Path, kind: str) -> Realtime:
    model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))
    return Realtime(synth.new_app(tmp_path / "cdk.out"), "Realtime", model=model, **KINDS[kind][0])


def acknowledgements(value: Any) -> set[tuple[str, str]]:
    """(finding, construct) of each acknowledgement in a validation report."""
    if isinstance(value, list):
        return {found for item in value for found in acknowledgements(item)}
    if not isinstance(value, dict):
        return set()
    here = {(value["acknowledgedId"], value["acknowledgedAt"])} if "acknowledgedId" in value else set()
    return here | {found for item in value.values() for found in acknowledgements(item)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_cdk_nag_finds_exactly_what_is_accepted(tmp_path: Path, kind: str) -> None:
    stack = realtime(tmp_path, kind)
    app = stack.node.root
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    synth.template_of(stack)
    report = json.loads((tmp_path / "cdk.out" / "validation-report.json").read_text())
    ours = [plugin for plugin in report["pluginReports"] if plugin["pluginName"] in ("AwsSolutions", "Serverless")]
    assert [violation for plugin in ours for violation in plugin["violations"]] == []
    assert acknowledgements(report) == KINDS[kind][1]


def test_cdk_nag_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.realtime.acknowledge", lambda *_, **__: None)
    stack = realtime(tmp_path, "http")
    app = stack.node.root
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    with pytest.raises(RuntimeError, match="AwsSolutions-IAM5"):
        synth.template_of(stack)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_cfn_lint_finds_nothing(tmp_path: Path, kind: str) -> None:
    template = synth.template_of(realtime(tmp_path, kind))
    # W3005: CDK itself lets every function depend on its role both ways.
    config = ManualArgs(regions=["eu-west-1"], ignore_checks=["W3005"])
    assert [str(found) for found in lint(json.dumps(template), config=config)] == []


def test_cfn_lint_is_at_work(tmp_path: Path) -> None:
    template = synth.template_of(realtime(tmp_path, "http"))
    (function,) = synth.resources_of(template, "AWS::Lambda::Function")
    function["Properties"]["MemorySize"] = 1
    assert lint(json.dumps(template), config=ManualArgs(regions=["eu-west-1"], ignore_checks=["W3005"]))
