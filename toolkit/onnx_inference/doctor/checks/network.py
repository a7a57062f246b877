"""VPCs and file systems of functions."""

from collections.abc import Iterator
from typing import Any

from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import FUNCTION, Resource, Template, mappings

_GATEWAY_SERVED = {"s3", "s3-object-lambda", "dynamodb"}
"""Services with a gateway endpoint, which is free."""
_MOUNTED = {"elasticfilesystem", "s3files"}
"""Services that are reached through a mount target in the VPC."""
_NOT_BY_NETWORK = {"ec2", "logs", "xray"}
"""Permissions that Lambda itself uses, without the function's network."""
_OTHER_TENANTS = (
    "AWS::AutoScaling::",
    "AWS::Batch::",
    "AWS::CodeBuild::",
    "AWS::EC2::Instance",
    "AWS::ECS::",
    "AWS::EKS::",
    "AWS::ElasticLoadBalancingV2::",
    "AWS::EMR::",
    "AWS::Glue::",
    "AWS::SageMaker::",
)


def _nat(template: Template) -> Iterator[Finding]:
    gateways = list(template.resources("AWS::EC2::NatGateway"))
    functions = [function for function in template.resources(FUNCTION) if function.value("VpcConfig", "SubnetIds")]
    if not gateways or not functions:
        return
    if any(resource.type.startswith(_OTHER_TENANTS) for resource in template.resources()):
        return
    services: set[str] = set()
    for function in functions:
        found = _services(template, function)
        if found is None:
            return
        services |= found
    if services - _GATEWAY_SERVED - _MOUNTED - _NOT_BY_NETWORK:
        return
    used = services & (_GATEWAY_SERVED | _MOUNTED)
    if not used:  # such a function calls something outside of AWS
        return
    for gateway in gateways:
        yield Finding.at(
            gateway,
            code="nat-gateway-without-need",
            severity="warning",
            location="",
            got=f"a NAT gateway for functions whose roles allow nothing but {', '.join(sorted(used))}",
            allowed="isolated subnets, with gateway endpoints for S3 and DynamoDB",
            fix="Remove it, unless the code calls something outside of AWS: it costs $0.045 an hour and $0.045 a GB. "
            "Gateway endpoints are free.",
        )


def _services(template: Template, function: Resource) -> set[str] | None:
    """Services whose actions the function's role allows; None when the template does not tell them all."""
    role = template.referred(function.value("Role"), "AWS::IAM::Role")
    if role is None:
        return None
    managed = [str(arn) for arn in _listed(role.value("ManagedPolicyArns") or [])]
    if any(
        "AWSLambdaVPCAccessExecutionRole" not in arn and "AWSLambdaBasicExecutionRole" not in arn for arn in managed
    ):
        return None
    documents = [policy.get("PolicyDocument") for policy in mappings(role.value("Policies"))]
    for policy in template.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        if template.referred(policy.value("Roles"), "AWS::IAM::Role") == role or any(
            template.referred(item, "AWS::IAM::Role") == role for item in _listed(policy.value("Roles"))
        ):
            documents.append(policy.value("PolicyDocument"))
    services: set[str] = set()
    for document in documents:
        for statement in [found for policy in mappings(document) for found in mappings(policy.get("Statement"))]:
            for action in _listed(statement.get("Action", [])):
                if not isinstance(action, str) or action == "*":
                    return None
                services.add(action.partition(":")[0].lower())
    return services


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _bursting(template: Template) -> Iterator[Finding]:
    mounted = set()
    for function in template.resources(FUNCTION):
        for config in mappings(function.value("FileSystemConfigs")):
            access_point = template.referred(config.get("Arn"), "AWS::EFS::AccessPoint")
            if access_point is not None:
                found = template.referred(access_point.value("FileSystemId"), "AWS::EFS::FileSystem")
                mounted.add(None if found is None else found.logical_id)
    for file_system in template.resources("AWS::EFS::FileSystem"):
        mode = file_system.value("ThroughputMode")
        if file_system.logical_id in mounted and mode in (None, "bursting"):
            yield Finding.at(
                file_system,
                code="file-system-bursting",
                severity="warning",
                location="ThroughputMode",
                got=mode or "nothing, which is bursting",
                allowed="elastic, or provisioned",
                fix="Set it to elastic: bursting throughput is 50 KiB/s for each stored GB, once the initial credits "
                "are used up.",
            )


CHECKS = (
    Check(
        code="nat-gateway-without-need",
        title="functions that only use S3, DynamoDB or a mount have no NAT gateway",
        why="It costs $33 a month and more for nothing.",
        source="https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html",
        find=_nat,
    ),
    Check(
        code="file-system-bursting",
        title="a file system that functions read has elastic throughput",
        why="A small file system has next to no throughput, and cold starts take minutes.",
        source="https://docs.aws.amazon.com/efs/latest/ug/performance.html",
        find=_bursting,
    ),
)
