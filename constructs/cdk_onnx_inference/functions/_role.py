"""The role of a function of this library: inline policies, exact resources, no managed policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference import _permissions


def function_role(
    scope: Construct,
    *,
    description: str,
    log_group: logs.ILogGroup,
    in_vpc: bool,
    policies: Mapping[str, Sequence[iam.PolicyStatement]],
) -> iam.Role:
    """Makes the role.

    Its policies are inline, so that they exist before the function. Without them Lambda refuses to create it.

    Args:
        scope: The construct that makes the function.
        description: The role's description.
        log_group: Where the function writes its logs.
        in_vpc: Whether Lambda attaches the function to a VPC.
        policies: What else the function may do, by policy name.
    """
    statements: dict[str, Sequence[iam.PolicyStatement]] = {
        "WriteLogs": [iam.PolicyStatement(actions=[*_permissions.WRITE_LOGS], resources=[log_group.log_group_arn])]
    }
    if in_vpc:
        statements["ManageNetworkInterfaces"] = [
            iam.PolicyStatement(actions=[*_permissions.MANAGE_NETWORK_INTERFACES], resources=["*"])
        ]
    return iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=description,
        inline_policies={name: iam.PolicyDocument(statements=[*of]) for name, of in {**statements, **policies}.items()},
    )
