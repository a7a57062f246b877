"""The grants of `AsyncInference`."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from cdk_onnx_inference import AsyncInference
from tests.constructs.jobs.conftest import Make, template, text_of


def grantee(stack: Stack) -> iam.Role:
    return iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())


def granted(jobs: AsyncInference) -> dict[str, list[str]]:
    """Action -> resources, of the one policy that a grant makes."""
    made = template(jobs)
    (policy,) = (name for name in made["Resources"] if name.startswith("CallerDefaultPolicy"))
    found: dict[str, list[str]] = {}
    for statement in made["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for action in actions:
            found.setdefault(action, []).extend(text_of(resource).rpartition("$default")[2] for resource in resources)
    return {action: sorted(resources) for action, resources in found.items()}


def test_grant_submit(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_submit(grantee(stack)).assert_success()
    assert granted(jobs) == {
        "execute-api:Invoke": ["/POST/v2/models/*/jobs", "/PUT/v2/models/*/jobs/*"],
        "sqs:SendMessage": ["<JobsQueue24944186.Arn>"],
        "s3:PutObject": ["<JobsPayloads9E925333.Arn>/jobs/*/request"],
    }


def test_grant_read(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_read(grantee(stack)).assert_success()
    assert granted(jobs) == {
        "execute-api:Invoke": ["/GET/v2/models/*/jobs/*", "/GET/v2/models/*/jobs/*/result"],
        "dynamodb:GetItem": ["<JobsTable10C8EDF6.Arn>"],
        "s3:GetObject": ["<JobsPayloads9E925333.Arn>/jobs/*/result-*"],
    }


def test_grant_cancel(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_cancel(grantee(stack)).assert_success()
    assert granted(jobs) == {"execute-api:Invoke": ["/DELETE/v2/models/*/jobs/*"]}


def test_grant_redrive(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_redrive(grantee(stack)).assert_success()
    found = granted(jobs)
    assert found.pop("sqs:SendMessage") == ["<JobsQueue24944186.Arn>"]
    assert found.pop("dynamodb:GetItem") == ["<JobsTable10C8EDF6.Arn>"]
    assert found == {
        action: ["<JobsParkedQueueE6D1D2B3.Arn>"]
        for action in (
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        )
    }
