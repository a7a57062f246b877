"""The network of functions that mount a file system."""

from __future__ import annotations

from aws_cdk import Annotations
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from cdk_onnx_inference import _warnings

SUBNETS = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
"""The subnets of `isolated_vpc`."""

_DYNAMODB = "DynamoDb"


def isolated_vpc(scope: Construct, construct_id: str) -> ec2.Vpc:
    """The smallest VPC that will do. It costs nothing, and only S3 can be reached from it, by a gateway endpoint.

    It has one isolated subnet in each of two availability zones, and no NAT gateway, internet gateway or interface
    endpoint. The function's logs and traces do not go through the VPC.

    A small function of CDK's empties the default security group, which nothing here uses. CloudFormation cannot.
    """
    return ec2.Vpc(
        scope,
        construct_id,
        max_azs=2,
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="Models", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
        gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        restrict_default_security_group=True,
    )


def reach_dynamodb(vpc: ec2.IVpc, *, owner: Construct) -> bool:
    """Adds a gateway endpoint for DynamoDB to a VPC that `isolated_vpc` made, unless it has one already.

    Nothing is added to another VPC: a second gateway endpoint for one service in one route table fails at deployment.

    Args:
        vpc: Where the functions run.
        owner: The file system with the models. A VPC that was made for it is its child.

    Returns:
        Whether the VPC was made by `isolated_vpc`.
    """
    scope = vpc.node.scope
    if not isinstance(vpc, ec2.Vpc) or scope is None or scope.node.path != owner.node.path:
        return False
    if vpc.node.try_find_child(_DYNAMODB) is None:
        vpc.add_gateway_endpoint(_DYNAMODB, service=ec2.GatewayVpcEndpointAwsService.DYNAMODB, subnets=[SUBNETS])
    return True


def warn_without_s3(publisher: Construct, vpc: ec2.IVpc, vpc_subnets: ec2.SubnetSelection | None) -> None:
    """Warns if the subnets are isolated and the VPC has no endpoint yet.

    Nothing is known about a VPC that was imported, nor about endpoints that are made outside of the VPC's construct.

    Args:
        publisher: The construct that needs S3.
        vpc: Its VPC.
        vpc_subnets: Its subnets; None for the VPC's default selection.
    """
    if not isinstance(vpc, ec2.Vpc) or not _are_isolated(vpc, vpc_subnets or ec2.SubnetSelection()):
        return
    if any(isinstance(child, ec2.CfnVPCEndpoint) for child in vpc.node.find_all()):
        return
    Annotations.of(publisher).add_warning_v2(
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
