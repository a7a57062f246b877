"""A Lambda function that serves one ONNX model, with the version and the alias that everything else invokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations, Duration, RemovalPolicy, Size
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from . import _environment, _image_context, _model_files, _permissions, _processing_files, _validation, _warnings
from .errors import InvalidInferenceConfig, Problem
from .model_source import ModelSource
from .processing import Processing

_WORTH_MOVING = 128 * 1024 * 1024
"""Bytes of weights in the graph file above which their loading costs some 0.1 s more at each cold start than it need.

Measured with onnxruntime 1.31.1, two cores and the file in the page cache: 400 MB load in 0.70 s out of the graph,
and in 0.40 s out of a file beside it.
"""


class InferenceFunction(Construct):
    """Serves one ONNX model under the Open Inference Protocol, from a container image on Lambda.

    It makes the function, a role of its own with no managed policies, a log group, a version for each change, and the
    alias `live`, which points to the newest version. Everything that invokes the function goes through the alias:
    `grant_invoke`, the metrics, and the library's other constructs. Versions are retained when a newer one takes
    their place, so that `live` can be pointed back at once; a version of an image function costs nothing by itself.

    Nothing is built at synth: the Docker context is copied into the cloud assembly, and `cdk deploy` builds it.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything.
        model: The model, e.g. `ModelSource.in_image("models/digits")`. A change of its content publishes a new
            version.
        processing: The user's own pre- and post-processing. A change publishes a new version. Default: requests go to
            the model as they are.
        memory_size: Memory in MB, a whole number of 128 to 10240. CPU grows with it: 1769 MB are one vCPU, and the
            handler sizes onnxruntime's threads by it. A change publishes a new version. Default: 1769 MB, the least
            that gives a whole vCPU.
        timeout: Longest run of one invocation, 1 to 900 whole seconds; the first also waits for a start that took
            longer than 10 s. A change publishes a new version. Default: 30 seconds, which is what an HTTP API waits
            for.
        architecture: Of the function, and hence of the image, which is built for the same. A change makes a new image
            and publishes a new version. Default: x86_64, on which onnxruntime has always run in Lambda and which most
            machines that build images have; arm64 is about a fifth cheaper, and needs onnxruntime 1.26 or later (the
            image has it), and a builder that can build for it.
        ephemeral_storage_size: Size of `/tmp`, 512 to 10240 MiB. A change publishes a new version. Default: 512 MiB.
        reserved_concurrent_executions: Most environments that may run at once, taken from the account's pool; 0 stops
            the function. A change replaces nothing and publishes nothing. Default: no reservation.
        environment: Further environment variables, e.g. for `processing`. Not the names that the handler's own
            settings have. A change publishes a new version, except of a value that is known only at deployment.
            Default: none.
        vpc: A VPC to run in. The model needs none. A change updates the function in place. Default: none.
        vpc_subnets: Which subnets of `vpc`. Default: its private ones.
        security_groups: For the network interfaces in `vpc`. Default: a new one, which lets everything out.
        log_group: Where the function's logs go. A change updates the function in place. Default: a new group,
            retained when the stack is deleted, whose events expire after one month.
        metrics_namespace: CloudWatch namespace of the metrics that the handler embeds in its log. A change publishes
            a new version. Default: `OnnxInference`.
        description: Of the function. A change publishes a new version. Default: names the model.

    Attributes:
        function: The function. Not to be invoked directly: `$LATEST` has neither the alias's permissions nor its
            metrics.
        version: Its current version.
        alias: The alias `live`: what to invoke.
        role: The function's role; grant it what `processing` needs.
        log_group: Where the function's logs go.
        timeout: Longest run of one invocation.

    Raises:
        InvalidInferenceConfig: With all problems: the codes that `ModelSource.in_image` and `Processing` name, and
            `memory-size-range`, `timeout-range`, `ephemeral-storage-range`, `reserved-concurrency-range`,
            `environment-reserved`, `environment-name`, `metrics-namespace`, `vpc-missing`, `image-file-collision`.

    Warns, in CDK's way:
        `cdk-onnx-inference:weights-in-graph`, `cdk-onnx-inference:processing-not-parsed`.
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
        model: ModelSource,
        processing: Processing | None = None,
        memory_size: int = 1769,
        timeout: Duration | None = None,
        architecture: lambda_.Architecture | None = None,
        ephemeral_storage_size: Size | None = None,
        reserved_concurrent_executions: int | None = None,
        environment: Mapping[str, str] | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        log_group: logs.ILogGroup | None = None,
        metrics_namespace: str = "OnnxInference",
        description: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.timeout = Duration.seconds(30) if timeout is None else timeout
        architecture = lambda_.Architecture.X86_64 if architecture is None else architecture

        def at(argument: str) -> str:
            return f"{self.node.path}.{argument}"

        model_files, problems = _model_files.collect(at("model"), model)
        if model_files is not None:
            problems += _validation.model_name(at("model.name"), model_files.name)
        problems += _validation.model_version(at("model.version"), model.version)
        processing_files = None
        if processing is not None:
            processing_files, found = _processing_files.collect(at("processing"), processing)
            problems += found
        problems += _validation.memory_size(at("memory_size"), memory_size)
        problems += _validation.timeout(at("timeout"), self.timeout)
        problems += _validation.ephemeral_storage_size(at("ephemeral_storage_size"), ephemeral_storage_size)
        problems += _validation.reserved_concurrent_executions(
            at("reserved_concurrent_executions"), reserved_concurrent_executions
        )
        problems += _validation.environment(at("environment"), environment or {})
        problems += _validation.metrics_namespace(at("metrics_namespace"), metrics_namespace)
        if vpc is None and (vpc_subnets is not None or security_groups is not None):
            problems.append(
                Problem(
                    "vpc-missing",
                    at("vpc"),
                    "None, with vpc_subnets or security_groups",
                    "the VPC that these belong to",
                    "Give vpc= as well, or leave them out.",
                )
            )
        if model_files is None or problems:
            raise InvalidInferenceConfig(problems)
        context, problems = _image_context.compose(
            self.node.path, model_files.files, processing_files.files if processing_files else {}
        )
        if problems:
            raise InvalidInferenceConfig(problems)

        self.log_group = log_group or logs.LogGroup(self, "LogGroup", retention=logs.RetentionDays.ONE_MONTH)
        self.role = self._make_role(in_vpc=vpc is not None)
        with _image_context.docker_image_code(
            self,
            context,
            model_digest=model_files.digest,
            architecture=architecture,
            command=_image_context.HTTP_HANDLER,
        ) as code:
            self.function = lambda_.DockerImageFunction(
                self,
                "Function",
                code=code,
                architecture=architecture,
                memory_size=memory_size,
                timeout=self.timeout,
                ephemeral_storage_size=ephemeral_storage_size,
                reserved_concurrent_executions=reserved_concurrent_executions,
                environment={
                    **(environment or {}),
                    _environment.MODEL_PATH: _image_context.MODEL_DIRECTORY,
                    _environment.MODEL_NAME: model_files.name,
                    _environment.MODEL_VERSION: model.version,
                    _environment.MODEL_DIGEST: model_files.digest,
                    **(
                        {
                            _environment.PROCESSING_PATH: (
                                f"{_image_context.PROCESSING_DIRECTORY}/{processing_files.module}"
                            )
                        }
                        if processing_files
                        else {}
                    ),
                    _environment.METRICS_NAMESPACE: metrics_namespace,
                    _environment.ORT_DISABLE_TELEMETRY: "1",
                },
                vpc=vpc,
                vpc_subnets=vpc_subnets,
                security_groups=security_groups,
                role=self.role,
                log_group=self.log_group,
                logging_format=lambda_.LoggingFormat.JSON,
                tracing=lambda_.Tracing.ACTIVE,
                description=description or f"ONNX model {model_files.name}, version {model.version}",
                current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN),
            )
        self.version = self.function.current_version
        self.alias = lambda_.Alias(self, "Alias", alias_name="live", version=self.version)
        self._warn(model_files, processing_files)

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

    def _make_role(self, *, in_vpc: bool) -> iam.Role:
        """A role whose policies are part of it, so that they exist before the function that Lambda checks them for."""
        policies = {
            "WriteLogs": iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(actions=[*_permissions.WRITE_LOGS], resources=[self.log_group.log_group_arn])
                ]
            )
        }
        if in_vpc:
            policies["ManageNetworkInterfaces"] = iam.PolicyDocument(
                statements=[iam.PolicyStatement(actions=[*_permissions.MANAGE_NETWORK_INTERFACES], resources=["*"])]
            )
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Of the inference function {self.node.path}",
            inline_policies=policies,
        )

    def _warn(self, model: _model_files.ModelFiles, processing: _processing_files.ProcessingFiles | None) -> None:
        if model.weights_in_graph > _WORTH_MOVING:
            Annotations.of(self).add_warning_v2(
                _warnings.WEIGHTS_IN_GRAPH,
                f"The model {model.name!r} keeps {model.weights_in_graph / 1024**2:.0f} MiB of weights in its graph "
                "file, which onnxruntime reads and copies at every cold start. Out of a file of their own they load in "
                "about 60 % of the time. Save the model so: onnx.save(model, path, save_as_external_data=True, "
                "location='model.onnx.data').",
            )
        if processing is not None and processing.unparsed is not None:
            Annotations.of(self).add_warning_v2(
                _warnings.PROCESSING_NOT_PARSED,
                f"The processing file {processing.module!r} is no Python that the Python of this machine understands "
                f"({processing.unparsed}), so it was not checked. The image has a newer Python, which may.",
            )
