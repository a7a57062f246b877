"""An S3 Files file system for models."""

from __future__ import annotations

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3files as s3files
from constructs import Construct, IDependable

from cdk_onnx_inference import _permissions
from cdk_onnx_inference._private_bucket import private_bucket
from cdk_onnx_inference.removal import AnyRemoval, Removal

from . import _network
from ._mount import DIRECTORY, MOUNT_PATH, PERMISSIONS, READER, WRITER, ModelMount
from ._publisher import MountAccess


class ModelS3Files(ModelMount):
    """An S3 Files file system for models, for `ModelSource.on_s3_files`: its files are objects of a bucket.

    It makes the bucket (versioned, encrypted, no public access, TLS only), the file system with a mount target in each
    zone, two access points and, with the first model, the function that publishes models. The publisher writes through
    one access point, and S3 Files copies to the bucket within about a minute. Functions that serve models read through
    the other, and do large reads directly from S3. The file system's policy denies writing through any access point but
    the publisher's, mounting without an access point, and access as root.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces the bucket and the file system. The new ones are empty;
            the deployment publishes the current models again.
        vpc: As for `ModelFileSystem`.
        vpc_subnets: As for `ModelFileSystem`; one for each zone.
        mount_path: As for `ModelFileSystem`.
        removal: What happens to the bucket when the stack is deleted. The file system is deleted with the stack in any
            case: it holds nothing that is not in the bucket. Default: `Removal.retain()`.

    Attributes:
        bucket: The bucket.
        file_system: The file system.
        role: The role with which S3 Files synchronises the bucket and the file system.
        read_access_point: The access point that functions with these models mount.
        write_access_point: The access point that the publisher mounts.
        security_group: The security group of the mount targets.
        vpc: The VPC that functions with these models run in.
        vpc_subnets: Which subnets of it, or None for its private ones.
        client_security_group: The security group that may connect to the file system. Functions with these models have
            it.
        mount_path: The path under which functions see the file system.
        publisher: The function that writes models; None until a function is given a `ModelSource.on_s3_files`.

    Raises:
        InvalidInferenceConfig: With the codes `mount-path`, `reason-missing`, `vpc-missing`.
    """

    bucket: s3.Bucket
    file_system: s3files.CfnFileSystem
    role: iam.Role
    read_access_point: s3files.CfnAccessPoint
    write_access_point: s3files.CfnAccessPoint
    security_group: ec2.SecurityGroup

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        mount_path: str = MOUNT_PATH,
        removal: AnyRemoval | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        removal = Removal.retain() if removal is None else removal
        self._check(vpc=vpc, vpc_subnets=vpc_subnets, mount_path=mount_path, removal=removal)
        if vpc is None:
            vpc, vpc_subnets = _network.isolated_vpc(self, "Vpc"), _network.SUBNETS
        self.vpc = vpc
        self.vpc_subnets = vpc_subnets
        self.mount_path = mount_path
        self.publisher = None
        self.bucket = private_bucket(
            self,
            "Bucket",
            versioned=True,  # S3 Files needs it
            lifecycle_rule=s3.LifecycleRule(
                id="ExpireFormerVersions",
                noncurrent_version_expiration=Duration.days(30),
                abort_incomplete_multipart_upload_after=Duration.days(7),
            ),
            removal=removal,
        )
        self.role = self._make_role()
        self.file_system = s3files.CfnFileSystem(
            self, "FileSystem", bucket=self.bucket.bucket_arn, role_arn=self.role.role_arn
        )
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            allow_all_outbound=False,
            description="Of a file system with models",
        )
        self.read_access_point = self._access_point("ReadAccessPoint", READER)
        self.write_access_point = self._access_point("WriteAccessPoint", WRITER)
        self._let_clients_in([self.security_group])
        self._dependency: list[IDependable] = [
            self._make_policy(),
            self.security_group,
            self.client_security_group,
            *(
                s3files.CfnMountTarget(
                    self,
                    f"MountTarget{number}",
                    file_system_id=self.file_system.attr_file_system_id,
                    subnet_id=subnet_id,
                    security_groups=[self.security_group.security_group_id],
                )
                for number, subnet_id in enumerate(self._subnet_ids(), 1)
            ),
        ]

    def _subnet_ids(self) -> list[str]:
        selection = self.vpc_subnets or ec2.SubnetSelection()
        return self.vpc.select_subnets(
            subnet_type=selection.subnet_type,
            subnet_group_name=selection.subnet_group_name,
            subnets=selection.subnets,
            subnet_filters=selection.subnet_filters,
            availability_zones=selection.availability_zones,
            one_per_az=True,
        ).subnet_ids

    def _make_role(self) -> iam.Role:
        """The role that S3 Files itself assumes.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-files-prereq-policies.html
        """
        stack = Stack.of(self)
        own_account = {"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}}
        rules = f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:rule"
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.PrincipalWithConditions(
                iam.ServicePrincipal("elasticfilesystem.amazonaws.com"),
                {
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {
                        "aws:SourceArn": stack.format_arn(service="s3files", resource="file-system", resource_name="*")
                    },
                },
            ),
            description=f"Lets S3 Files synchronise {self.node.path} with its bucket",
            inline_policies={
                "Synchronise": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=[*_permissions.SYNCHRONISE_BUCKET],
                            resources=[self.bucket.bucket_arn],
                            conditions=own_account,
                        ),
                        iam.PolicyStatement(
                            actions=[*_permissions.SYNCHRONISE_OBJECTS],
                            resources=[self.bucket.arn_for_objects("*")],
                            conditions=own_account,
                        ),
                        iam.PolicyStatement(
                            actions=[*_permissions.MANAGE_OBJECT_EVENTS],
                            resources=[f"{rules}/DO-NOT-DELETE-S3-Files*"],
                            conditions={
                                "StringEquals": {"events:ManagedBy": "elasticfilesystem.amazonaws.com"},
                            },
                        ),
                        iam.PolicyStatement(actions=[*_permissions.READ_EVENT_RULES], resources=[f"{rules}/*"]),
                    ]
                )
            },
        )

    def _access_point(self, construct_id: str, user: str) -> s3files.CfnAccessPoint:
        return s3files.CfnAccessPoint(
            self,
            construct_id,
            file_system_id=self.file_system.attr_file_system_id,
            posix_user=s3files.CfnAccessPoint.PosixUserProperty(uid=user, gid=user),
            root_directory=s3files.CfnAccessPoint.RootDirectoryProperty(
                path=DIRECTORY,
                creation_permissions=s3files.CfnAccessPoint.CreationPermissionsProperty(
                    owner_uid=WRITER, owner_gid=WRITER, permissions=PERMISSIONS
                ),
            ),
        )

    def _make_policy(self) -> s3files.CfnFileSystemPolicy:
        reading, writing = (point.attr_access_point_arn for point in (self.read_access_point, self.write_access_point))

        def deny(sid: str, actions: tuple[str, ...], *unless: str) -> iam.PolicyStatement:
            return iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[*actions],
                conditions={"StringNotEquals": {"s3files:AccessPointArn": [*unless]}} if unless else {},
            )

        return s3files.CfnFileSystemPolicy(
            self,
            "Policy",
            file_system_id=self.file_system.attr_file_system_id,
            policy=iam.PolicyDocument(
                statements=[
                    deny("EnforceAccessPoint", _permissions.MOUNT_S3_FILES, reading, writing),
                    deny("OnlyThePublisherWrites", ("s3files:ClientWrite",), writing),
                    deny("DenyRoot", ("s3files:ClientRootAccess",)),
                ]
            ),
        )

    def _configure(self, function: lambda_.DockerImageFunction) -> None:
        resource = function.node.default_child
        if isinstance(resource, lambda_.CfnFunction):
            resource.add_property_override("FileSystemConfigs.0.S3FilesConfig.DirectS3Read", "ENABLED")

    def _read_access(self) -> MountAccess:
        return self._access(
            self.read_access_point,
            _permissions.MOUNT_S3_FILES,
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=[*_permissions.CHANGE_S3_FILES],
                resources=[self.file_system.attr_file_system_arn],
            ),
            iam.PolicyStatement(
                actions=[*_permissions.READ_OBJECT_VERSIONS], resources=[self.bucket.arn_for_objects("*")]
            ),
        )

    def _write_access(self) -> MountAccess:
        return self._access(self.write_access_point, _permissions.PUBLISH_S3_FILES)

    def _access(
        self, access_point: s3files.CfnAccessPoint, actions: tuple[str, ...], *further: iam.PolicyStatement
    ) -> MountAccess:
        """Does what `lambda_.FileSystem.from_s3_files_access_point` does, which however always lets the function write.

        (It also makes constructs inside the access point, so a second function could not mount it.)
        """
        return MountAccess(
            lambda_.FileSystem(
                arn=access_point.attr_access_point_arn,
                local_mount_path=self.mount_path,
                dependency=self._dependency,
            ),
            [
                iam.PolicyStatement(
                    actions=[*actions],
                    resources=[self.file_system.attr_file_system_arn, access_point.attr_access_point_arn],
                ),
                *further,
            ],
        )
