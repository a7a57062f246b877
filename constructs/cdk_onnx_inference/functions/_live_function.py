"""A function of a service with what belongs to it: role, log group, versions, and the alias that is invoked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Duration, Size
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, IDependable

from cdk_onnx_inference import _permissions
from cdk_onnx_inference.cold_start import _readiness
from cdk_onnx_inference.cold_start.cold_start import ColdStart
from cdk_onnx_inference.cold_start.warmer import Warmer
from cdk_onnx_inference.image import _image_context
from cdk_onnx_inference.image.service_image import AnyServiceImage
from cdk_onnx_inference.models import _model_objects
from cdk_onnx_inference.models._model_mount import ModelMount
from cdk_onnx_inference.models._model_objects import ModelObject
from cdk_onnx_inference.models._model_publisher import MountAccess
from cdk_onnx_inference.models._served_models import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the functions of a service have in common: one image, and for some of them the models.

    Attributes:
        scope: The inference function; its path names the image's directory, so that the image is read once.
        context: Of the image.
        image_digest: Of the models in the image.
        signatures: The image's file with the models' signatures.
        image: Where it comes from.
        architecture: Of the image, and hence of all functions.
        environment: The inference function's variables.
        metrics_namespace: Where metrics go.
        memory_size: What the inference function has, in MB.
        models: All of them.
        processed: Whether requests go through a user's own processing.
        ephemeral_storage_size: What the models need of `/tmp`.
        mount: The file system with the models.
        mount_access: To it.
        vpc: Where functions with the models run.
        vpc_subnets: Which subnets of it.
        security_groups: For functions with the models.
        publications: What must be there before a function can load the models.
        downloads: Parts of models that are read from S3.
    """

    scope: Construct
    context: Mapping[str, Path]
    image_digest: str
    signatures: str
    image: AnyServiceImage
    architecture: lambda_.Architecture
    environment: Mapping[str, str]
    metrics_namespace: str
    memory_size: int
    models: Sequence[ServedModel]
    processed: bool
    ephemeral_storage_size: Size | None
    mount: ModelMount | None
    mount_access: MountAccess | None
    vpc: ec2.IVpc | None
    vpc_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup] | None
    publications: Sequence[IDependable]
    downloads: Sequence[ModelObject]


class LiveFunction(Construct):
    """What `InferenceFunction` and `ServiceFunction` have in common."""

    function: lambda_.DockerImageFunction
    version: lambda_.Version
    alias: lambda_.Alias
    role: iam.Role
    log_group: logs.ILogGroup
    timeout: Duration
    cold_start: ColdStart
    reserved_concurrent_executions: float | None
    scalable_target: autoscaling.ScalableTarget | None
    warmer: Warmer | None
    _service: Service

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets `grantee` invoke the alias, and not the function's other versions."""
        return self.alias.grant_invoke(grantee)

    def metric(
        self,
        metric_name: str,
        *,
        statistic: str | None = None,
        period: Duration | None = None,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """A metric that Lambda itself measures for the alias.

        Args:
            metric_name: One of https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
            statistic: E.g. `p99`. Default: average.
            period: What one value is made of. Default: 5 minutes.
            label: Name in a graph. Default: CloudWatch's.
        """
        return self.alias.metric(metric_name, statistic=statistic, period=period, label=label)

    def metric_duration(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Milliseconds that an invocation of the alias took, its start not counted. Default statistic: average."""
        return self.alias.metric_duration(statistic=statistic, period=period, label=label)

    def metric_errors(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Invocations of the alias that failed: timeouts and crashes, not 4xx answers. Default statistic: sum."""
        return self.alias.metric_errors(statistic=statistic, period=period, label=label)

    def metric_invocations(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Invocations of the alias, failed ones included, throttled ones not. Default statistic: sum."""
        return self.alias.metric_invocations(statistic=statistic, period=period, label=label)

    def metric_throttles(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Invocations of the alias that Lambda refused for want of concurrency. Default statistic: sum."""
        return self.alias.metric_throttles(statistic=statistic, period=period, label=label)

    def _make_role(
        self,
        description: str,
        *,
        in_vpc: bool,
        mount_access: MountAccess | None,
        further: Mapping[str, Sequence[iam.PolicyStatement]] | None = None,
    ) -> iam.Role:
        """A role whose policies are part of it, so that they exist before the function that Lambda checks them for."""
        statements: dict[str, Sequence[iam.PolicyStatement]] = {
            "WriteLogs": [
                iam.PolicyStatement(actions=[*_permissions.WRITE_LOGS], resources=[self.log_group.log_group_arn])
            ]
        }
        if in_vpc:
            statements["ManageNetworkInterfaces"] = [
                iam.PolicyStatement(actions=[*_permissions.MANAGE_NETWORK_INTERFACES], resources=["*"])
            ]
        if mount_access is not None:
            statements["ReadModels"] = mount_access.statements
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=description,
            inline_policies={
                name: iam.PolicyDocument(statements=[*of]) for name, of in {**statements, **(further or {})}.items()
            },
        )

    def _make(
        self,
        service: Service,
        *,
        command: str,
        memory_size: int,
        environment: Mapping[str, str],
        with_models: bool,
        takes_events: bool,
        description: str,
    ) -> None:
        """Makes the function, its version and its alias, with `timeout`, `role` and so on, which are there already."""
        self._service = service
        access = service.mount_access if with_models else None
        with _image_context.docker_image_code(
            service.scope,
            service.context,
            model_digest=service.image_digest,
            architecture=service.architecture,
            command=command,
            signatures=service.signatures,
            image=service.image,
        ) as code:
            self.function = lambda_.DockerImageFunction(
                self,
                "Function",
                code=code,
                architecture=service.architecture,
                memory_size=memory_size,
                timeout=self.timeout,
                ephemeral_storage_size=service.ephemeral_storage_size if with_models else None,
                reserved_concurrent_executions=self.reserved_concurrent_executions,
                environment={**environment},
                filesystem=access.file_system if access else None,
                vpc=service.vpc if with_models else None,
                vpc_subnets=service.vpc_subnets if with_models else None,
                security_groups=service.security_groups if with_models else None,
                role=self.role,
                log_group=self.log_group,
                logging_format=lambda_.LoggingFormat.JSON,
                tracing=lambda_.Tracing.ACTIVE,
                description=description,
                snap_start=_readiness.snap_start_of(self.cold_start),
                current_version_options=_readiness.version_options(self.cold_start),
            )
        if with_models and service.mount is not None:
            service.mount._configure(self.function)
        self.version = self.function.current_version
        if with_models:
            self.version.node.add_dependency(*service.publications, *self._let_read(service))
        self.alias = _readiness.live_alias(self, self.version, self.cold_start)
        self.scalable_target, self.warmer = _readiness.keep_ready(self, self, takes_events=takes_events)

    def _let_read(self, service: Service) -> list[iam.Policy]:
        """Lets the function read the objects that it downloads, by a policy of these objects' own.

        A new model makes a new policy, and CloudFormation removes the old one last, when the alias has moved: until
        then the version that is serving reads what it needs.
        """
        if not service.downloads:
            return []
        digest = hashlib.sha256(
            "".join(model.package_digest for model in service.models if model.is_downloaded).encode()
        )
        return [
            iam.Policy(
                self,
                f"ReadModel{digest.hexdigest()[:8]}",
                roles=[self.role],
                statements=[_model_objects.read_statement(service.downloads)],
            )
        ]
