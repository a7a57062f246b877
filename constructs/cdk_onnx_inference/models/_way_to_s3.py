"""Whether functions in a VPC can reach S3, as far as synth can tell."""

from __future__ import annotations

from aws_cdk import Annotations
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from cdk_onnx_inference import _warnings


def warn_without(scope: Construct, vpc: ec2.IVpc, vpc_subnets: ec2.SubnetSelection | None) -> None:
    """Warns if nothing leads out of the subnets, and the VPC has no endpoint by now.

    Of a VPC that is only referred to nothing is known, nor of endpoints that are made outside of it.

    Args:
        scope: The construct that needs S3.
        vpc: Its VPC.
        vpc_subnets: Its subnets; None for the VPC's default selection.
    """
    if not isinstance(vpc, ec2.Vpc) or not _are_isolated(vpc, vpc_subnets or ec2.SubnetSelection()):
        return
    if any(isinstance(child, ec2.CfnVPCEndpoint) for child in vpc.node.find_all()):
        return
    Annotations.of(scope).add_warning_v2(
        _warnings.PUBLISHER_WITHOUT_S3,
        f"The subnets of the publisher are isolated, and the VPC {vpc.node.path!r} has no endpoint: it could neither "
        "read a model from S3 nor answer CloudFormation, which would wait for 16 minutes. Add the gateway endpoint, "
        "which is free, before the function that serves the model: "
        'vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3).',
    )


def _are_isolated(vpc: ec2.Vpc, selection: ec2.SubnetSelection) -> bool:
    isolated = {subnet.node.path for subnet in vpc.isolated_subnets}
    chosen = vpc.select_subnets(
        subnet_type=selection.subnet_type,
        subnet_group_name=selection.subnet_group_name,
        subnets=selection.subnets,
        subnet_filters=selection.subnet_filters,
        availability_zones=selection.availability_zones,
        one_per_az=selection.one_per_az,
    ).subnets
    return all(subnet.node.path in isolated for subnet in chosen)
