"""The function that copies models to a mounted file system during a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference.functions._role import function_role
from cdk_onnx_inference.image import _commands, _image_context
from cdk_onnx_inference.image.service_image import AnyServiceImage

from . import _network

TIMEOUT = Duration.minutes(15)
"""Lambda's maximum. A function in a VPC reads 78 MB/s, so this is enough for models of 70 GB."""


@dataclass(frozen=True, slots=True)
class MountAccess:
    """How one function mounts a file system.

    Args:
        file_system: For the function's `filesystem`.
        statements: For the function's role.
    """

    file_system: lambda_.FileSystem
    statements: Sequence[iam.PolicyStatement]


class ModelPublisher(Construct):
    """Copies models from S3 to the mount. CloudFormation calls it for each new model.

    It runs the service's image with the command `publish`. 1769 MB of memory give one vCPU, which is enough to compute
    the digests: the network is what limits it.

    Args:
        scope: The file system that it writes to.
        construct_id: Its id.
        access: To the file system, with permission to write.
        vpc: A VPC from which both the file system and S3 can be reached.
        vpc_subnets: Which subnets of it.
        client_security_group: The security group that may connect to the file system.
        architecture: The serving functions' architecture, so that it can share their image.
        signatures: The models' signatures in the serving functions' image, for the same reason.
        image: Where the image comes from.

    Attributes:
        function: The function.
        role: Its role.
        log_group: Where its logs go.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        access: MountAccess,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection | None,
        client_security_group: ec2.ISecurityGroup,
        architecture: lambda_.Architecture,
        signatures: str,
        image: AnyServiceImage,
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = logs.LogGroup(self, "LogGroup", retention=logs.RetentionDays.ONE_MONTH)
        self.role = function_role(
            self,
            description=f"Publishes models on {scope.node.path}",
            log_group=self.log_group,
            in_vpc=True,
            policies={"WriteModels": access.statements},
        )
        security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            allow_all_outbound=False,
            description="Of the publisher of models",
        )
        _network.warn_without_s3(self, vpc, vpc_subnets)
        security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "S3, also to answer CloudFormation")
        context, _ = _image_context.compose(self.node.path, {}, {})
        with _image_context.docker_image_code(
            self,
            context,
            model_digest="",
            architecture=architecture,
            command=_commands.PUBLISH,
            signatures=signatures,
            image=image,
        ) as code:
            self.function = lambda_.DockerImageFunction(
                self,
                "Function",
                code=code,
                architecture=architecture,
                memory_size=1769,
                timeout=TIMEOUT,
                filesystem=access.file_system,
                vpc=vpc,
                vpc_subnets=vpc_subnets,
                security_groups=[security_group, client_security_group],
                role=self.role,
                log_group=self.log_group,
                logging_format=lambda_.LoggingFormat.JSON,
                description="Publishes models on a mounted file system",
            )
