"""A function of a service, with its role, log group, versions and the alias that is invoked."""

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

from cdk_onnx_inference.cold_start import _readiness
from cdk_onnx_inference.cold_start.cold_start import ColdStart
from cdk_onnx_inference.cold_start.warmer import Warmer
from cdk_onnx_inference.image import _image_context
from cdk_onnx_inference.image.service_image import AnyServiceImage
from cdk_onnx_inference.models import _s3_objects
from cdk_onnx_inference.models._mount import ModelMount
from cdk_onnx_inference.models._publisher import MountAccess
from cdk_onnx_inference.models._s3_objects import ModelObject
from cdk_onnx_inference.models._served_model import ServedModel

from ._alias_rules import AliasRules
from ._role import function_role


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the functions of a service have in common: the image, and for some of them the models.

    Attributes:
        scope: The inference function. Its path names the directory of the image's links, so the image is read once.
        context: The Docker context of the image.
        image_digest: Digest of the models in the image.
        signatures: Content of the image's file with the models' signatures.
        image: Where the image comes from.
        architecture: The architecture of the image, and so of all functions.
        environment: The inference function's variables.
        metrics_namespace: CloudWatch namespace of the handler's metrics.
        memory_size: The inference function's memory, in MB.
        models: All models.
        processed: Whether requests go through the user's own processing.
        ephemeral_storage_size: Size of `/tmp` for functions with the models; None for Lambda's default.
        mount: The file system with the models, or None.
        mount_access: How functions mount it, or None.
        vpc: The VPC that functions with the models run in, or None.
        vpc_subnets: Which subnets of it.
        security_groups: For functions with the models.
        publications: What must exist before a function can load the models.
        downloads: Parts of models that are downloaded from S3.
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
        """Allows `grantee` to invoke the alias, and no other version of the function."""
        return self.alias.grant_invoke(grantee)

    def metric(
        self,
        metric_name: str,
        *,
        statistic: str | None = None,
        period: Duration | None = None,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """A metric of the alias that Lambda publishes.

        Args:
            metric_name: One of https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
            statistic: E.g. `p99`. Default: average.
            period: The time that one value covers. Default: 5 minutes.
            label: Name in a graph. Default: CloudWatch's.
        """
        return self.alias.metric(metric_name, statistic=statistic, period=period, label=label)

    def metric_duration(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Milliseconds that an invocation of the alias took, without the cold start. Default statistic: average."""
        return self.alias.metric_duration(statistic=statistic, period=period, label=label)

    def metric_errors(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Invocations of the alias that failed: timeouts and crashes, not responses of 4xx. Default statistic: sum."""
        return self.alias.metric_errors(statistic=statistic, period=period, label=label)

    def metric_invocations(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Invocations of the alias, including failed ones, but not throttled ones. Default statistic: sum."""
        return self.alias.metric_invocations(statistic=statistic, period=period, label=label)

    def metric_throttles(
        self, *, statistic: str | None = None, period: Duration | None = None, label: str | None = None
    ) -> cloudwatch.Metric:
        """Invocations of the alias that Lambda refused because no concurrency was left. Default statistic: sum."""
        return self.alias.metric_throttles(statistic=statistic, period=period, label=label)

    def _make(
        self,
        service: Service,
        *,
        command: str,
        description: str,
        role_description: str,
        with_models: bool,
        takes_events: bool,
        memory_size: int,
        environment: Mapping[str, str],
        policies: Mapping[str, Sequence[iam.PolicyStatement]],
    ) -> None:
        """Makes the role, the function, its version and its alias.

        `timeout`, `cold_start`, `reserved_concurrent_executions` and `log_group` must be set before.

        Args:
            service: What it has in common with the service's other functions.
            command: The image's command, one of `_commands`.
            description: The function's description.
            role_description: The role's description.
            with_models: Whether it loads the models: then it has their VPC, mount, `/tmp` and permissions.
            takes_events: See `AliasRules`.
            memory_size: In MB.
            environment: All variables.
            policies: What it may do beyond logging and reading the models, by policy name.
        """
        self._service = service
        access = service.mount_access if with_models else None
        self.role = function_role(
            self,
            description=role_description,
            log_group=self.log_group,
            in_vpc=with_models and service.vpc is not None,
            policies={**({"ReadModels": access.statements} if access else {}), **policies},
        )
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
        self.node.add_validation(AliasRules(self, takes_events=takes_events))
        self.scalable_target, self.warmer = _readiness.keep_ready(self)

    def _let_read(self, service: Service) -> list[iam.Policy]:
        """Allows the function to read the objects that it downloads, with a separate policy for each set of models.

        A new model makes a new policy. CloudFormation deletes the old policy last, after the alias has moved, so the
        version that serves until then can still read its model.
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
                statements=[_s3_objects.read_statement(service.downloads)],
            )
        ]
