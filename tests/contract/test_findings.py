"""What linters say of the prebuilt stacks: nothing that is not accepted in `stacks/acknowledgements.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack, Validations
from aws_cdk.aws_applicationautoscaling import Schedule
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    ColdStart,
    ModelSource,
    ProvisionedConcurrency,
    ProvisionedSchedule,
    WarmerTrigger,
    WarmHours,
)
from stacks.async_jobs import AsyncJobs, Notices
from stacks.large_model import LargeModel, Source
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
BY_RULE = {("Serverless::Serverless-EventBusDLQ", "Realtime/Inference/Warmer/Rule")}
UNAUTHORISED = {("AwsSolutions::AwsSolutions-APIG4", "Realtime/Api")}

SCALED = ProvisionedConcurrency(
    max_capacity=10,
    schedules=[ProvisionedSchedule(name="day", schedule=Schedule.cron(hour="8", minute="0"), min_capacity=3)],
)
KINDS: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "http": ({}, ALWAYS),
    "http-none": ({"auth": ApiAuth.none(reason="a test")}, ALWAYS | UNAUTHORISED),
    "rest": ({"api_type": ApiType.rest_api()}, ALWAYS | REST),
    "rest-log-role": ({"api_type": ApiType.rest_api(account_log_role=True)}, ALWAYS | REST | ACCOUNT_LOG_ROLE),
    "provisioned": ({"cold_start": ColdStart.provisioned(SCALED)}, ALWAYS),
    "snap-start": ({"cold_start": ColdStart.snap_start()}, ALWAYS),
    "warmer": ({"cold_start": ColdStart.warmer(concurrency=2, hours=WarmHours(start=8, end=18))}, ALWAYS),
    "warmer-by-rule": ({"cold_start": ColdStart.warmer(concurrency=2, trigger=WarmerTrigger.RULE)}, ALWAYS | BY_RULE),
    "rest-api-key": ({"api_type": ApiType.rest_api(), "auth": ApiAuth.api_key()}, ALWAYS | REST | UNAUTHORISED),
}
LARGE_MODEL = {(finding, construct.replace("Realtime/", "LargeModel/")) for finding, construct in ALWAYS}


def mounted(file_system: str) -> set[tuple[str, str]]:
    return LARGE_MODEL | {
        ("AwsSolutions::AwsSolutions-IAM5[Resource::*]", f"LargeModel/{file_system}"),
        ("AwsSolutions::AwsSolutions-VPC7", f"LargeModel/{file_system}/Vpc"),
        ("Serverless::Serverless-LambdaDLQ", f"LargeModel/{file_system}"),
        ("Serverless::Serverless-LambdaStarPermissions", "LargeModel/Inference/Role"),
        ("Serverless::Serverless-LambdaStarPermissions", f"LargeModel/{file_system}"),
        ("Serverless::Serverless-LambdaTracing", f"LargeModel/{file_system}"),
    }


RULES = "AwsSolutions::AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>:rule"
OBJECTS = "AwsSolutions::AwsSolutions-IAM5[Resource::<ModelBucketEBB1ADF4.Arn>/*]"
SOURCES: dict[str, set[tuple[str, str]]] = {
    Source.S3: LARGE_MODEL,
    Source.EFS: mounted("Models"),
    Source.S3_FILES: mounted("ModelBucket")
    | {
        ("AwsSolutions::AwsSolutions-S1", "LargeModel/ModelBucket"),
        (OBJECTS, "LargeModel/ModelBucket"),
        (OBJECTS, "LargeModel/Inference/Role"),
        (f"{RULES}/DO-NOT-DELETE-S3-Files*]", "LargeModel/ModelBucket"),
        (f"{RULES}/*]", "LargeModel/ModelBucket"),
    },
}


PAYLOADS = "AwsSolutions::AwsSolutions-IAM5[Resource::<JobsPayloads9E925333.Arn>/jobs/*"
JOBS: dict[str, dict[str, Any]] = {
    "jobs": {},
    "jobs-notices": {"notices": Notices.TOPIC, "cold_start": ColdStart.warmer()},
    "jobs-efs": {"source": Source.EFS},
}


def accepted_of_jobs(kind: str) -> set[tuple[str, str]]:
    stack = mounted("Models") if kind == "jobs-efs" else ALWAYS
    worker = {("Serverless::Serverless-LambdaStarPermissions", "AsyncJobs/Jobs/Worker/Role")}
    return {
        *((finding, f"AsyncJobs/{construct.partition('/')[2]}") for finding, construct in stack),
        *(worker if kind == "jobs-efs" else ()),
        *(
            (finding, f"AsyncJobs/Jobs/{function}/{part}")
            for function in ("Worker", "JobApi", "DeadLetters", "Sweeper")
            for finding, part in (
                ("AwsSolutions::AwsSolutions-IAM5[Resource::*]", "Role"),
                ("Serverless::Serverless-LambdaDLQ", "Function"),
            )
        ),
        *(
            (f"{PAYLOADS}/{payload}]", f"AsyncJobs/Jobs/{function}/Role")
            for function in ("Worker", "JobApi")
            for payload in ("request", "result-*")
        ),
        *(
            ("Serverless::Serverless-LambdaEventSourceMappingDestination", f"AsyncJobs/Jobs/{function}EventSource")
            for function in ("Worker", "DeadLetters")
        ),
        *(
            ("Serverless::Serverless-SQSRedrivePolicy", f"AsyncJobs/Jobs/{queue}")
            for queue in ("DeadLetterQueue", "ParkedQueue")
        ),
        ("AwsSolutions::AwsSolutions-SQS3", "AsyncJobs/Jobs/ParkedQueue"),
        ("AwsSolutions::AwsSolutions-S1", "AsyncJobs/Jobs/Payloads"),
    }


def made(tmp_path: Path, kind: str) -> Stack:
    app = synth.new_app(tmp_path / "cdk.out")
    path = models.save_package(tmp_path / "digits")
    if kind in JOBS:
        return AsyncJobs(app, "AsyncJobs", path=path, **JOBS[kind])
    if kind in SOURCES:
        return LargeModel(app, "LargeModel", path=path, source=Source(kind))
    return Realtime(app, "Realtime", model=ModelSource.in_image(path), **KINDS[kind][0])


def accepted(kind: str) -> set[tuple[str, str]]:
    if kind in JOBS:
        return accepted_of_jobs(kind)
    return SOURCES[kind] if kind in SOURCES else KINDS[kind][1]


def acknowledgements(value: Any) -> set[tuple[str, str]]:
    """(finding, construct) of each acknowledgement in a validation report."""
    if isinstance(value, list):
        return {found for item in value for found in acknowledgements(item)}
    if not isinstance(value, dict):
        return set()
    here = {(value["acknowledgedId"], value["acknowledgedAt"])} if "acknowledgedId" in value else set()
    return here | {found for item in value.values() for found in acknowledgements(item)}


@pytest.mark.parametrize("kind", [*sorted(KINDS), *SOURCES, *JOBS])
def test_cdk_nag_finds_exactly_what_is_accepted(tmp_path: Path, kind: str) -> None:
    stack = made(tmp_path, kind)
    app = stack.node.root
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    synth.template_of(stack)
    report = json.loads((tmp_path / "cdk.out" / "validation-report.json").read_text())
    ours = [plugin for plugin in report["pluginReports"] if plugin["pluginName"] in ("AwsSolutions", "Serverless")]
    assert [violation for plugin in ours for violation in plugin["violations"]] == []
    assert acknowledgements(report) == accepted(kind)


def test_cdk_nag_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.realtime.acknowledge", lambda *_, **__: None)
    stack = made(tmp_path, "http")
    app = stack.node.root
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    with pytest.raises(RuntimeError, match="AwsSolutions-IAM5"):
        synth.template_of(stack)


@pytest.mark.parametrize("kind", [*sorted(KINDS), *SOURCES, *JOBS])
def test_cfn_lint_finds_nothing(tmp_path: Path, kind: str) -> None:
    template = synth.template_of(made(tmp_path, kind))
    # W3005: CDK itself lets every function depend on its role both ways.
    config = ManualArgs(regions=["eu-west-1"], ignore_checks=["W3005"])
    assert [str(found) for found in lint(json.dumps(template), config=config)] == []


def test_cfn_lint_is_at_work(tmp_path: Path) -> None:
    template = synth.template_of(made(tmp_path, "http"))
    (function,) = synth.resources_of(template, "AWS::Lambda::Function")
    function["Properties"]["MemorySize"] = 1
    assert lint(json.dumps(template), config=ManualArgs(regions=["eu-west-1"], ignore_checks=["W3005"]))
