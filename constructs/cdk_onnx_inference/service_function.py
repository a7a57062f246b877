"""Further functions of a service: the same image with another command, so that there is one image to build and keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, IDependable

from . import _environment, _image_context, _model_objects, _permissions
from ._model_mount import ModelMount
from ._model_objects import ModelObject
from ._model_publisher import MountAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What an inference function has in common with the further functions of its service.

    Attributes:
        scope: The inference function; its path names the image's directory, so that the image is read once.
        context: Of the image.
        image_digest: Of the models in the image.
        signatures: The image's file with the models' signatures.
        architecture: Of the image, and hence of all functions.
        environment: All variables of the inference function.
        metrics_namespace: Where metrics go.
        memory_size: What the models have, in MB.
        anonymous_bytes: Memory that the models were measured to take.
        ephemeral_storage_size: What the models need of `/tmp`.
        mount: The file system with the models.
        mount_access: To it.
        vpc: Where functions with the models run.
        vpc_subnets: Which subnets of it.
        security_groups: For functions with the models.
        publications: What must be there before a function can load the models.
        downloads: Parts of models that are read from S3.
        downloads_id: Id of the policy for them, another one for other parts.
    """

    scope: Construct
    context: Mapping[str, Path]
    image_digest: str
    signatures: str
    architecture: lambda_.Architecture
    environment: Mapping[str, str]
    metrics_namespace: str
    memory_size: int
    anonymous_bytes: int
    ephemeral_storage_size: Size | None
    mount: ModelMount | None
    mount_access: MountAccess | None
    vpc: ec2.IVpc | None
    vpc_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup] | None
    publications: Sequence[IDependable]
    downloads: Sequence[ModelObject]
    downloads_id: str


class ServiceFunction(Construct):
    """A function of a service beside its inference function, e.g. the worker of `AsyncInference`.

    It runs the service's image with a command of its own, and has a role, a log group, versions and an alias `live` of
    its own. The library's constructs make it; it is here for its attributes.

    Attributes:
        function: The function.
        version: Its current version.
        alias: The alias `live`: what invokes it.
        role: Its role.
        log_group: Where its logs go; retained when the stack is deleted, events expire after one month.
        timeout: Longest run of one invocation.
    """

    function: lambda_.DockerImageFunction
    version: lambda_.Version
    alias: lambda_.Alias
    role: iam.Role
    log_group: logs.ILogGroup
    timeout: Duration

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: Service,
        command: str,
        description: str,
        with_models: bool,
        memory_size: int,
        timeout: Duration,
        environment: Mapping[str, str],
        policies: Mapping[str, Sequence[iam.PolicyStatement]],
        reserved_concurrent_executions: int | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.timeout = timeout
        self.log_group = logs.LogGroup(self, "LogGroup", retention=logs.RetentionDays.ONE_MONTH)
        statements = {
            "WriteLogs": [
                iam.PolicyStatement(actions=[*_permissions.WRITE_LOGS], resources=[self.log_group.log_group_arn])
            ],
            **policies,
        }
        if with_models and service.vpc is not None:
            statements["ManageNetworkInterfaces"] = [
                iam.PolicyStatement(actions=[*_permissions.MANAGE_NETWORK_INTERFACES], resources=["*"])
            ]
        if with_models and service.mount_access is not None:
            statements["ReadModels"] = service.mount_access.statements
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"{description}, {service.scope.node.path}",
            inline_policies={name: iam.PolicyDocument(statements=[*of]) for name, of in statements.items()},
        )
        variables = {_environment.METRICS_NAMESPACE: service.metrics_namespace, **environment}
        with _image_context.docker_image_code(
            service.scope,
            service.context,
            model_digest=service.image_digest,
            architecture=service.architecture,
            command=command,
            signatures=service.signatures,
        ) as code:
            self.function = lambda_.DockerImageFunction(
                self,
                "Function",
                code=code,
                architecture=service.architecture,
                memory_size=memory_size,
                timeout=timeout,
                ephemeral_storage_size=service.ephemeral_storage_size if with_models else None,
                reserved_concurrent_executions=reserved_concurrent_executions,
                environment={**service.environment, **variables} if with_models else variables,
                filesystem=service.mount_access.file_system if with_models and service.mount_access else None,
                vpc=service.vpc if with_models else None,
                vpc_subnets=service.vpc_subnets if with_models else None,
                security_groups=[*service.security_groups] if with_models and service.security_groups else None,
                role=self.role,
                log_group=self.log_group,
                logging_format=lambda_.LoggingFormat.JSON,
                tracing=lambda_.Tracing.ACTIVE,
                description=description,
                current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN),
            )
        if with_models and service.mount is not None:
            service.mount._configure(self.function)
        self.version = self.function.current_version
        if with_models:
            self.version.node.add_dependency(*service.publications, *self._let_read(service))
        self.alias = lambda_.Alias(self, "Alias", alias_name="live", version=self.version)

    def _let_read(self, service: Service) -> list[iam.Policy]:
        """As for the inference function: another policy for other models, so that the former one goes last."""
        if not service.downloads:
            return []
        return [
            iam.Policy(
                self,
                service.downloads_id,
                roles=[self.role],
                statements=[_model_objects.read_statement(service.downloads)],
            )
        ]
