"""An EFS file system for models."""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IDependable

from cdk_onnx_inference import _permissions, _validation
from cdk_onnx_inference._removal import keep_reason, removal_policy
from cdk_onnx_inference.errors import InvalidInferenceConfig
from cdk_onnx_inference.removal import AnyRemoval, Removal

from . import _network
from ._mount import DIRECTORY, MOUNT_PATH, PERMISSIONS, READER, WRITER, ModelMount
from ._publisher import MountAccess


class ModelFileSystem(ModelMount):
    """An EFS file system for models, for `ModelSource.on_efs`.

    It makes the file system (encrypted, elastic throughput, mount targets in two zones), two access points and, with
    the first model, the function that publishes models. The publisher writes through one access point. Functions that
    serve models read through the other:

    - Their role allows mounting and denies writing.
    - The file system's policy allows nothing, so only what a role allows is possible. (CDK's default policy lets every
      client that may mount also write, and act as root.) It denies connections without TLS, connections without an
      access point, and access as root.
    - Their access point gives them another POSIX user than the one that owns the files.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces the file system. The new one is empty; the deployment
            publishes the current models again.
        vpc: The VPC that functions with these models run in. It needs a route to S3, preferably a gateway endpoint. A
            change replaces the file system's mount targets. Default: a new VPC with two isolated subnets and a gateway
            endpoint for S3; it has no NAT gateway and no interface endpoint, and costs nothing. If the subnets of a
            `Vpc` are isolated and it has no endpoint, the first model warns: `cdk-onnx-inference:publisher-without-s3`.
        vpc_subnets: Which subnets of `vpc`. Default: its private ones.
        mount_path: The path under which functions see the file system: `/mnt/` and one name. A change publishes a new
            version of each function. Default: `/mnt/models`.
        encryption_key: The KMS key to encrypt with. A change replaces the file system. Default: the account's AWS
            managed key for EFS.
        automatic_backups: Whether AWS Backup makes a backup each day and keeps it for 35 days, which is billed by the
            GB. Without backups a deployment can publish the current models again, but not former ones. A change updates
            in place. Default: yes.
        removal: What happens to the file system when the stack is deleted. Default: `Removal.retain()`.

    Attributes:
        file_system: The file system.
        read_access_point: The access point that functions with these models mount.
        write_access_point: The access point that the publisher mounts.
        vpc: The VPC that functions with these models run in.
        vpc_subnets: Which subnets of it, or None for its private ones.
        client_security_group: The security group that may connect to the file system. Functions with these models have
            it.
        mount_path: The path under which functions see the file system.
        publisher: The function that writes models; None until a function is given a `ModelSource.on_efs`.

    Raises:
        InvalidInferenceConfig: With the codes `mount-path`, `reason-missing`, `vpc-missing`.
    """

    file_system: efs.IFileSystem
    read_access_point: efs.AccessPoint
    write_access_point: efs.AccessPoint

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        mount_path: str = MOUNT_PATH,
        encryption_key: kms.IKey | None = None,
        automatic_backups: bool = True,
        removal: AnyRemoval | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        removal = Removal.retain() if removal is None else removal
        self._check(vpc=vpc, vpc_subnets=vpc_subnets, mount_path=mount_path, removal=removal)
        if vpc is None:
            vpc, vpc_subnets = _network.isolated_vpc(self, "Vpc"), _network.SUBNETS
        file_system = efs.FileSystem(
            self,
            "FileSystem",
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_group=ec2.SecurityGroup(
                self,
                "SecurityGroup",
                vpc=vpc,
                allow_all_outbound=False,
                description="Of a file system with models",
            ),
            encrypted=True,
            kms_key=encryption_key,
            performance_mode=efs.PerformanceMode.GENERAL_PURPOSE,
            throughput_mode=efs.ThroughputMode.ELASTIC,
            enable_automatic_backups=automatic_backups,
            removal_policy=removal_policy(removal),
            # With False, CDK adds a statement that lets every client that may mount also write, and act as root.
            allow_anonymous_access=True,
            file_system_policy=self._policy(),
        )
        keep_reason(file_system, removal)
        self._mount(file_system, vpc, vpc_subnets, mount_path)

    @staticmethod
    def from_file_system(
        scope: Construct,
        construct_id: str,
        *,
        file_system: efs.IFileSystem,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection | None = None,
        mount_path: str = MOUNT_PATH,
    ) -> ModelFileSystem:
        """Uses an existing file system. Makes two access points, which see only its directory `/onnx-models`.

        The file system's policy, encryption, throughput and mount targets stay as they are. Prefer elastic throughput
        for models: bursting throughput grows with the data stored, and a file system with little data has next to none.

        Args:
            scope: The parent.
            construct_id: Its id in the parent. A change replaces the access points.
            file_system: The file system, e.g. of `efs.FileSystem.from_file_system_attributes`. It must have a mount
                target in each zone of the subnets.
            vpc: The VPC of its mount targets. It needs a route to S3, preferably a gateway endpoint.
            vpc_subnets: The subnets that functions with these models run in. Default: the VPC's private ones.
            mount_path: As for a new file system.

        Raises:
            InvalidInferenceConfig: With the code `mount-path`.
        """
        return _ExistingModelFileSystem(
            scope,
            construct_id,
            file_system=file_system,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            mount_path=mount_path,
        )

    def _mount(
        self,
        file_system: efs.IFileSystem,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection | None,
        mount_path: str,
    ) -> None:
        self.file_system = file_system
        self.vpc = vpc
        self.vpc_subnets = vpc_subnets
        self.mount_path = mount_path
        self.publisher = None
        self._let_clients_in(file_system.connections.security_groups)
        self.read_access_point = self._access_point("ReadAccessPoint", READER)
        self.write_access_point = self._access_point("WriteAccessPoint", WRITER)

    def _access_point(self, construct_id: str, user: str) -> efs.AccessPoint:
        """The access point that is used first makes the directory. So both make the writer its owner."""
        return efs.AccessPoint(
            self,
            construct_id,
            file_system=self.file_system,
            path=DIRECTORY,
            create_acl=efs.Acl(owner_uid=WRITER, owner_gid=WRITER, permissions=PERMISSIONS),
            posix_user=efs.PosixUser(uid=user, gid=user),
        )

    def _policy(self) -> iam.PolicyDocument:
        """Denials only; roles have the permissions. EFS evaluates no condition keys here but these two."""

        def deny(sid: str, actions: tuple[str, ...], conditions: dict[str, dict[str, str]]) -> iam.PolicyStatement:
            return iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[*actions],
                conditions=conditions,
            )

        access_points = Stack.of(self).format_arn(
            service="elasticfilesystem",
            resource="access-point",
            resource_name="*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        return iam.PolicyDocument(
            statements=[
                deny("EnforceTls", _permissions.USE_EFS, {"Bool": {"aws:SecureTransport": "false"}}),
                deny(
                    "EnforceAccessPoint",
                    _permissions.USE_EFS,
                    {"StringNotLike": {"elasticfilesystem:AccessPointArn": access_points}},
                ),
                deny("DenyRoot", ("elasticfilesystem:ClientRootAccess",), {}),
            ]
        )

    def _read_access(self) -> MountAccess:
        return self._access(
            self.read_access_point,
            _permissions.MOUNT_EFS,
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=[*_permissions.CHANGE_EFS],
                resources=[self.file_system.file_system_arn],
            ),
        )

    def _write_access(self) -> MountAccess:
        return self._access(self.write_access_point, _permissions.PUBLISH_EFS)

    def _access(
        self, access_point: efs.AccessPoint, actions: tuple[str, ...], *denials: iam.PolicyStatement
    ) -> MountAccess:
        """Does what `lambda_.FileSystem.from_efs_access_point` does, which however always lets the function write."""
        dependency: list[IDependable] = [
            self.file_system.mount_targets_available,
            access_point,
            *self.file_system.connections.security_groups,
            self.client_security_group,
        ]
        return MountAccess(
            lambda_.FileSystem(
                arn=access_point.access_point_arn,
                local_mount_path=self.mount_path,
                dependency=dependency,
            ),
            [
                iam.PolicyStatement(
                    actions=[*actions],
                    resources=[self.file_system.file_system_arn],
                    conditions={
                        "StringEquals": {"elasticfilesystem:AccessPointArn": access_point.access_point_arn},
                    },
                ),
                *denials,
            ],
        )


class _ExistingModelFileSystem(ModelFileSystem):
    """See `ModelFileSystem.from_file_system`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        file_system: efs.IFileSystem,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection | None,
        mount_path: str,
    ) -> None:
        Construct.__init__(self, scope, construct_id)
        problems = _validation.mount_path(f"{self.node.path}.mount_path", mount_path)
        if problems:
            raise InvalidInferenceConfig(problems)
        self._mount(file_system, vpc, vpc_subnets, mount_path)
