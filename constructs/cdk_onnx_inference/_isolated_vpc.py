"""The least network that a function with a mounted file system needs."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

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
