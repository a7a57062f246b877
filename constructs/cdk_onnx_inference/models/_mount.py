"""What EFS and S3 Files have in common for models: one function writes to the mount, the others only read."""

from __future__ import annotations

import abc
from collections.abc import Iterable

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_onnx_inference import _validation
from cdk_onnx_inference.errors import InvalidInferenceConfig
from cdk_onnx_inference.image.service_image import AnyServiceImage
from cdk_onnx_inference.removal import AnyRemoval, Destroy

from . import _s3_objects
from ._publisher import TIMEOUT, ModelPublisher, MountAccess
from ._s3_objects import ModelObject

MOUNT_PATH = "/mnt/models"

DIRECTORY = "/onnx-models"
"""Root directory of both access points on the file system: they see nothing else of it."""

WRITER = "1001"
"""POSIX user and group of the publisher, which owns the directory."""

READER = "1002"
"""POSIX user and group of the functions that serve models. They do not own the directory."""

PERMISSIONS = "0755"
"""Of the directory: its owner may write, everybody may read."""

_NFS = ec2.Port.tcp(2049)
_ANSWER = Duration.minutes(1)
"""What CloudFormation waits beyond the publisher's timeout for its answer."""


class ModelMount(Construct):
    """A file system for models.

    Attributes:
        vpc: The VPC from which it can be reached.
        vpc_subnets: The subnets with a mount target; None for the VPC's default selection.
        client_security_group: The security group that may connect to it. Functions have it beside their own.
        mount_path: The path under which functions see it.
        publisher: The function that writes to it; None until a source has a model for it.
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

    def _check(
        self,
        *,
        vpc: ec2.IVpc | None,
        vpc_subnets: ec2.SubnetSelection | None,
        mount_path: str,
        removal: AnyRemoval,
    ) -> None:
        """Raises `InvalidInferenceConfig` for wrong arguments of a new file system."""
        problems = _validation.mount_path(f"{self.node.path}.mount_path", mount_path)
        problems += _validation.vpc_of_subnets(f"{self.node.path}.vpc", vpc, vpc_subnets)
        if isinstance(removal, Destroy):
            problems += _validation.reason(f"{self.node.path}.removal", removal.reason)
        if problems:
            raise InvalidInferenceConfig(problems)

    def _let_clients_in(self, security_groups: Iterable[ec2.ISecurityGroup]) -> None:
        """Makes one security group for all functions. Another function, in whatever stack, then changes no rules.

        Its egress rule names an address range, not a security group. CDK would make a rule to a security group a
        resource of its own, and EC2 lets everything out of a group that has no egress rule within its own resource.
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
        """Sets what a serving function needs beyond `lambda_.FileSystem`. Nothing, unless overridden."""

    def _publisher(self, architecture: lambda_.Architecture, signatures: str, image: AnyServiceImage) -> ModelPublisher:
        """The file system's only publisher. It is made for the first model, and shares the image of its function."""
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
    """One model on a file system. CloudFormation makes what depends on it when the model is there.

    Args:
        scope: The function that serves the model.
        construct_id: Its id.
        mount: The file system.
        objects: The model's parts in S3.
        package_digest: `sha256:<hex>` of all parts, the manifest included. It names the model's own directory.
        directory: The directory below the mount that belongs to this publication alone: all but its newest models are
            deleted.
        keep_versions: How many models stay in the directory.
        architecture: Of the function that serves the model.
        signatures: The models' signatures in the image of that function.
        image: Where that image comes from.
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
        policy = iam.Policy(self, "ReadParts", roles=[publisher.role], statements=[_s3_objects.read_statement(objects)])
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::OnnxModel",
            service_token=publisher.function.function_arn,
            service_timeout=TIMEOUT.plus(_ANSWER),
            properties={
                "PackageDigest": package_digest,
                "Parts": _s3_objects.as_json(objects),
                "MountPath": f"{mount.mount_path}/{directory}",
                "Keep": str(keep_versions),
            },
        )
        # The order also holds when the stack is deleted: without its route to S3 the publisher could not answer
        # CloudFormation.
        self.resource.node.add_dependency(policy, mount.vpc)
