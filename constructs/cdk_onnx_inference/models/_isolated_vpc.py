"""The least network that a function with a mounted file system needs."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

_DYNAMODB = "DynamoDb"

SUBNETS = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


def isolated_vpc(scope: Construct, construct_id: str) -> ec2.Vpc:
    """A VPC out of which only S3 can be reached, by a gateway endpoint, which is free like all the rest of it.

    Two availability zones with one isolated subnet each: no NAT gateway, no internet gateway, no interface endpoint.
    Lambda itself writes the function's logs and traces, from outside.

    The default security group, which nothing here uses, is emptied by a small function of CDK's own; CloudFormation
    has no means for it.
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
    """Lets functions in a VPC that was made here reach DynamoDB too, by another gateway endpoint, once.

    Args:
        vpc: Where the functions run.
        owner: Of the file system with the models; what `isolated_vpc` made is its child.

    Returns:
        Whether it was made here. To another VPC nothing is added: a second gateway endpoint for one service in one
        route table fails at deployment.
    """
    scope = vpc.node.scope
    if not isinstance(vpc, ec2.Vpc) or scope is None or scope.node.path != owner.node.path:
        return False
    if vpc.node.try_find_child(_DYNAMODB) is None:
        vpc.add_gateway_endpoint(_DYNAMODB, service=ec2.GatewayVpcEndpointAwsService.DYNAMODB, subnets=[SUBNETS])
    return True
