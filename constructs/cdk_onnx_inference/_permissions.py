"""IAM actions by purpose, sorted, each with its access level in the Service Authorization Reference."""

from __future__ import annotations

from typing import Final

WRITE_LOGS: Final = (
    "logs:CreateLogStream",  # Write
    "logs:PutLogEvents",  # Write
)
"""What a function needs on its own log group. Not `logs:CreateLogGroup`: the stack makes the group."""

MANAGE_NETWORK_INTERFACES: Final = (
    "ec2:AssignPrivateIpAddresses",  # Write
    "ec2:CreateNetworkInterface",  # Write
    "ec2:DeleteNetworkInterface",  # Write
    "ec2:DescribeNetworkInterfaces",  # List; has no resource-level permissions
    "ec2:DescribeSubnets",  # List; has no resource-level permissions
    "ec2:UnassignPrivateIpAddresses",  # Write
)
"""What Lambda needs to attach a function to a VPC. It checks them on `*` when the function is created.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
"""
