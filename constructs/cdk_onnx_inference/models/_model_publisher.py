"""The function that puts models on a mounted file system while a stack is deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference import _permissions
from cdk_onnx_inference.image import _image_context
from cdk_onnx_inference.image.service_image import AnyServiceImage

from . import _way_to_s3

TIMEOUT = Duration.minutes(15)
"""The longest that Lambda has. At the 78 MB/s that a function in a VPC gets it is enough for 70 GB."""


@dataclass(frozen=True, slots=True)
class MountAccess:
    """A file system as one function mounts it.

    Args:
        file_system: For the function.
        statements: For the function's role.
    """

    file_system: lambda_.FileSystem
    statements: Sequence[iam.PolicyStatement]


class ModelPublisher(Construct):
    """Runs the image's publishing room: CloudFormation calls it for each new model, and it copies from S3 to the mount.

    It shares the image with functions whose model is not in the image. 1769 MB give one vCPU, for the digests; what
    limits it is the network.

    Args:
        scope: The file system it writes to.
        construct_id: Its id.
        access: To the file system, with the right to write.
        vpc: Where the file system can be reached, and S3.
        vpc_subnets: Which subnets.
        client_security_group: What lets it reach the file system.
        architecture: Of the function, so that its image is the one that the serving functions have.
        signatures: In the image, for the same reason.
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
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Publishes models on {scope.node.path}",
            inline_policies={
                "WriteLogs": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=[*_permissions.WRITE_LOGS], resources=[self.log_group.log_group_arn]
                        )
                    ]
                ),
                "ManageNetworkInterfaces": iam.PolicyDocument(
                    statements=[iam.PolicyStatement(actions=[*_permissions.MANAGE_NETWORK_INTERFACES], resources=["*"])]
                ),
                "WriteModels": iam.PolicyDocument(statements=access.statements),
            },
        )
        security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            allow_all_outbound=False,
            description="Of the publisher of models",
        )
        _way_to_s3.warn_without(self, vpc, vpc_subnets)
        security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "S3, also to answer CloudFormation")
        context, _ = _image_context.compose(self.node.path, {}, {})
        with _image_context.docker_image_code(
            self,
            context,
            model_digest="",
            architecture=architecture,
            command=_image_context.PUBLISH_HANDLER,
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
