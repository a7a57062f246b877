"""The role with which EventBridge Scheduler invokes a function."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from . import _permissions


def scheduler_role(scope: Construct, construct_id: str, *, alias: lambda_.IAlias, description: str) -> iam.Role:
    """A role that may invoke the alias and nothing else. Only schedules of the default group can assume it."""
    stack = Stack.of(scope)
    default_group = stack.format_arn(service="scheduler", resource="schedule-group", resource_name="default")
    return iam.Role(
        scope,
        construct_id,
        assumed_by=iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": stack.account, "aws:SourceArn": default_group}},
        ),
        description=description,
        inline_policies={
            "Invoke": iam.PolicyDocument(
                statements=[iam.PolicyStatement(actions=[*_permissions.INVOKE], resources=[alias.function_arn])]
            )
        },
    )
