"""What EFS and S3 Files have in common for models: a mount that one function writes to and the others only read."""

from __future__ import annotations

import abc
from collections.abc import Iterable

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_onnx_inference.image.service_image import AnyServiceImage

from . import _model_objects
from ._model_objects import ModelObject
from ._model_publisher import TIMEOUT, ModelPublisher, MountAccess

MOUNT_PATH = "/mnt/models"
WRITER = "1001"
"""POSIX user and group of the publisher, who owns the models' directory."""
READER = "1002"
"""POSIX user and group of the functions that serve models: others to the directory, who may read and search it."""
PERMISSIONS = "0755"

_NFS = ec2.Port.tcp(2049)
_ANSWER = Duration.minutes(1)


class ModelMount(Construct):
    """A file system for models.

    Attributes:
        vpc: Where it can be reached.
        vpc_subnets: Which subnets have a mount target; None for the VPC's default selection.
        client_security_group: What lets a function reach it: the functions have it beside their own.
        mount_path: Where functions see it.
        publisher: The function that writes to it; None as long as no source has a model for it.
    """

    vpc: ec2.IVpc
    vpc_subnets: ec2.SubnetSelection | None
    client_security_group: ec2.SecurityGroup
    mount_path: str
    publisher: lambda_.DockerImageFunction | None

    @abc.abstractmethod
    def _read_access(self) -> MountAccess:
        """For a function that serves models."""

    @abc.abstractmethod
    def _write_access(self) -> MountAccess:
        """For the publisher."""

    def _let_clients_in(self, security_groups: Iterable[ec2.ISecurityGroup]) -> None:
        """One security group for all functions, so that a further function changes no rules, in whatever stack it is.

        Its egress names no security group: CDK would make that a resource of its own, and to a group without an egress
        rule within itself EC2 adds one that lets everything out.
        """
        self.client_security_group = ec2.SecurityGroup(
            self,
            "ClientSecurityGroup",
            vpc=self.vpc,
            allow_all_outbound=False,
            description="Of the functions that mount a file system with models",
        )
        self.client_security_group.add_egress_rule(ec2.Peer.any_ipv4(), _NFS, "NFS")
        for security_group in security_groups:
            security_group.add_ingress_rule(self.client_security_group, _NFS, "NFS, from the functions")

    def _configure(self, function: lambda_.DockerImageFunction) -> None:
        """What a serving function needs beyond `lambda_.FileSystem`."""

    def _publisher(self, architecture: lambda_.Architecture, signatures: str, image: AnyServiceImage) -> ModelPublisher:
        """The one function that publishes. The first model's function decides what image it has, so as to share it."""
        made = self.node.try_find_child("Publisher")
        if isinstance(made, ModelPublisher):
            return made
        publisher = ModelPublisher(
            self,
            "Publisher",
            access=self._write_access(),
            vpc=self.vpc,
            vpc_subnets=self.vpc_subnets,
            client_security_group=self.client_security_group,
            architecture=architecture,
            signatures=signatures,
            image=image,
        )
        self.publisher = publisher.function
        return publisher


class ModelPublication(Construct):
    """One model on a file system: CloudFormation waits until it is there, before it makes what depends on this.

    Args:
        scope: The function that serves the model.
        construct_id: Its id.
        mount: Where the model goes.
        objects: Its parts.
        package_digest: `sha256:<hex>` of all parts, the manifest among them. It names the model's own directory.
        directory: Below the mount, of this publication alone: what is not among its newest models there is deleted.
        keep_versions: How many models stay in the directory.
        architecture: Of the function that serves the model.
        signatures: In the image of that function.
        image: Where that comes from.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        mount: ModelMount,
        objects: list[ModelObject],
        package_digest: str,
        directory: str,
        keep_versions: int,
        architecture: lambda_.Architecture,
        signatures: str,
        image: AnyServiceImage,
    ) -> None:
        super().__init__(scope, construct_id)
        publisher = mount._publisher(architecture, signatures, image)
        policy = iam.Policy(
            self, "ReadParts", roles=[publisher.role], statements=[_model_objects.read_statement(objects)]
        )
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::OnnxModel",
            service_token=publisher.function.function_arn,
            service_timeout=TIMEOUT.plus(_ANSWER),
            properties={
                "PackageDigest": package_digest,
                "Parts": _model_objects.as_json(objects),
                "MountPath": f"{mount.mount_path}/{directory}",
                "Keep": str(keep_versions),
            },
        )
        # Also while the stack is deleted: without the way to S3 the publisher could not answer CloudFormation.
        self.resource.node.add_dependency(policy, mount.vpc)
