"""A Lambda function that serves ONNX models, with its versions and the alias that everything invokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations, Duration, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference import _environment, _validation, _warnings
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.cold_start import _cold_start_validation, _init_phase, _provisioned_validation
from cdk_onnx_inference.cold_start.cold_start import ColdStart
from cdk_onnx_inference.errors import InvalidInferenceConfig
from cdk_onnx_inference.image import _commands, _image_context, _processing_files, service_image
from cdk_onnx_inference.image.processing import Processing
from cdk_onnx_inference.image.service_image import AnyServiceImage, ServiceImage
from cdk_onnx_inference.models import _model_argument, _model_environment, _model_needs, _placement, _signature
from cdk_onnx_inference.models._mount import ModelPublication
from cdk_onnx_inference.models._served_model import ServedModel
from cdk_onnx_inference.models.model_source import ModelSource, OnMount

from ._live_function import LiveFunction, Service

_WORTH_MOVING = 128 * 1024 * 1024
"""Bytes of weights in the graph file above which the function warns: they add some 0.1 s to each cold start.

Measured with onnxruntime 1.31.1, two cores and the file in the page cache: 400 MB load in 0.70 s from the graph file,
and in 0.40 s from a file beside it.
"""


class InferenceFunction(LiveFunction):
    """Serves one or several ONNX models under the Open Inference Protocol, from a container image on Lambda.

    It makes the function, a role without managed policies, a log group, a version for each change, and the alias
    `live`, which points to the newest version. Everything that invokes the function goes through the alias:
    `grant_invoke`, the metrics, and the library's other constructs. Old versions are retained, so `live` can be pointed
    back at once. A version of an image function costs nothing, except with SnapStart.

    Nothing is built at synth: the Docker context is copied into the cloud assembly, and `cdk deploy` builds it.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything.
        model: The model, e.g. `ModelSource.in_image("models/digits")`, or a list of several models, which must differ
            in name or version. They share the function's memory, and can be on at most one file system. A change of a
            model's content publishes a new version.
        processing: The user's own pre- and post-processing, for all models. A change publishes a new version. Default:
            requests go to the model as they are.
        cold_start: What is done about cold starts: one of the forms of `ColdStart`. A change to or from SnapStart
            publishes a new version; other changes update in place. Default: nothing, which costs nothing.
        memory_size: Memory in MB, a whole number from 128 to 10240. CPU grows with it: 1769 MB give one vCPU, and the
            handler sets onnxruntime's threads accordingly. If a model's `manifest.json` says how much memory was
            measured (`measurements.after.anonymous_mb`), that much must fit. A change publishes a new version. Default:
            1769 MB, the least that gives a whole vCPU.
        timeout: Longest run of one invocation, 1 to 900 whole seconds. If a start takes longer than 10 s, Lambda
            repeats it within the first invocation and its timeout. A change publishes a new version. Default: 30
            seconds, the time that an HTTP API waits.
        image: Where the image comes from. All functions of the service use it. A change publishes a new version.
            Default: `ServiceImage.built()`.
        architecture: Architecture of the function, for which the image is also built. A change makes a new image and
            publishes a new version. Default: x86_64, which most machines that build images have. arm64 costs about a
            fifth less; it needs onnxruntime 1.26 or later, which the image has, and a builder that can build for it.
        ephemeral_storage_size: Size of `/tmp`, 512 to 10240 MiB. A change publishes a new version. Default: 512 MiB, or
            what downloaded models need and 64 MiB more. Space above 512 MiB is billed.
        reserved_concurrent_executions: Most environments that may run at once, reserved from the account's concurrency.
            0 stops the function. A change updates in place, without a new version. Default: no reservation.
        environment: Further environment variables, e.g. for `processing`. The names of the handler's own settings are
            not allowed. All variables together may have 4 KB. A change publishes a new version, except a change of a
            value that is known only at deployment. Default: none.
        vpc: The VPC to run in. Only a model on a file system needs one: the file system's. A change updates the
            function in place. Default: the file system's VPC, or none.
        vpc_subnets: Which subnets of `vpc`. Default: those of the file system, or the private ones.
        security_groups: For the function's network interfaces in `vpc`. The file system's security group for clients is
            added. Default: a new one, which allows all outbound traffic.
        log_group: Where the function's logs go. A change updates the function in place. Default: a new group, which is
            retained when the stack is deleted; events expire after one month.
        metrics_namespace: CloudWatch namespace of the metrics that the handler embeds in its log. A change publishes a
            new version. Default: `OnnxInference`.
        description: The function's description. A change publishes a new version. Default: names the model.

    Attributes:
        function: The function. Do not invoke it directly: `$LATEST` has neither the alias's permissions nor its
            metrics.
        version: Its current version.
        alias: The alias `live`: invoke this.
        role: The function's role. Grant it what `processing` needs.
        log_group: Where the function's logs go.
        timeout: Longest run of one invocation.
        cold_start: What is done about cold starts.
        reserved_concurrent_executions: Environments that are reserved for the function, or None.
        scalable_target: The scalable target of the alias, if its provisioned concurrency is scaled; else None.
        warmer: The warmer, with `ColdStart.warmer()`; else None.

    Raises:
        InvalidInferenceConfig: With all problems: the codes that `Processing` and the factories of `ModelSource` and
            `ColdStart` name, and `model-missing`, `model-duplicate`, `model-mounts`, `memory-size-range`,
            `memory-too-small`, `timeout-range`, `ephemeral-storage-range`, `ephemeral-storage-too-small`,
            `reserved-concurrency-range`, `environment-reserved`, `environment-name`, `environment-too-large`,
            `metrics-namespace`, `vpc-missing`, `vpc-of-file-system`, `image-digest`, `image-file-collision`,
            `image-too-large`, `init-exceeds-timeout`, `cold-start-type`. For what is added to the attributes, at synth
            and as a validation error of CDK: `alias-weights`, `provisioned-excluded`, `tenant-isolation`,
            `event-source-unsupported`.

    Warns, in CDK's way:
        `cdk-onnx-inference:weights-in-graph`, `cdk-onnx-inference:processing-not-parsed`,
        `cdk-onnx-inference:init-phase`, `cdk-onnx-inference:account-concurrency`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        model: ModelSource | Sequence[ModelSource],
        processing: Processing | None = None,
        cold_start: ColdStart | None = None,
        memory_size: int = 1769,
        timeout: Duration | None = None,
        image: AnyServiceImage | None = None,
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
        self.cold_start = ColdStart.on_demand() if cold_start is None else cold_start
        self.reserved_concurrent_executions = reserved_concurrent_executions
        architecture = lambda_.Architecture.X86_64 if architecture is None else architecture
        image = ServiceImage.built() if image is None else image

        def at(argument: str) -> str:
            return f"{self.node.path}.{argument}"

        models, problems = _model_argument.collect(at("model"), model)
        processing_files = None
        if processing is not None:
            processing_files, found = _processing_files.collect(at("processing"), processing)
            problems += found
        problems += service_image.check(at("image"), image)
        mount = _model_argument.mount_of(models)
        problems += _validation.memory_size(at("memory_size"), memory_size) or _model_needs.memory_size(
            at("memory_size"), memory_size, models
        )
        problems += _validation.timeout(at("timeout"), self.timeout)
        wrong_storage = _validation.ephemeral_storage_size(at("ephemeral_storage_size"), ephemeral_storage_size)
        storage, cache_size, found = _model_needs.ephemeral_storage(
            at("ephemeral_storage_size"), ephemeral_storage_size, models
        )
        problems += wrong_storage or found
        problems += _validation.reserved_concurrent_executions(
            at("reserved_concurrent_executions"), reserved_concurrent_executions
        )
        problems += _cold_start_validation.check(
            self,
            self.cold_start,
            timeout=self.timeout,
            reserved=reserved_concurrent_executions,
            on_file_system=mount is not None,
            storage=storage,
        )
        if not problems:
            problems += _init_phase.check(
                at("model"),
                self.cold_start,
                models,
                memory_size=memory_size,
                timeout=self.timeout,
                in_vpc=vpc is not None or mount is not None,
            )
        problems += _validation.environment(at("environment"), environment or {})
        problems += _validation.metrics_namespace(at("metrics_namespace"), metrics_namespace)
        if mount is None:
            problems += _validation.vpc_of_subnets(at("vpc"), vpc, vpc_subnets, security_groups)
        else:
            problems += _validation.vpc_of_file_system(at("vpc"), vpc, mount.vpc)
        if problems:
            raise InvalidInferenceConfig(problems)
        context, problems = _image_context.compose(
            self.node.path, _placement.image_files(models), processing_files.files if processing_files else {}
        )
        if problems:
            raise InvalidInferenceConfig(problems)
        placed = _placement.place(self, models)
        variables = {
            **(environment or {}),
            **_model_environment.variables(
                placed,
                cache_size=cache_size,
                processing=f"{_image_context.PROCESSING_DIRECTORY}/{processing_files.module}"
                if processing_files
                else None,
            ),
            _environment.METRICS_NAMESPACE: metrics_namespace,
            _environment.ORT_DISABLE_TELEMETRY: "1",
        }
        problems = _model_environment.check_size(at("environment"), self, variables)
        if problems:
            raise InvalidInferenceConfig(problems)

        if mount is not None and vpc is None:
            vpc, vpc_subnets = mount.vpc, vpc_subnets or mount.vpc_subnets
        access = None
        if mount is not None and vpc is not None:
            access = mount._read_access()
            own = security_groups or [
                ec2.SecurityGroup(self, "SecurityGroup", vpc=vpc, description="Of an inference function")
            ]
            security_groups = [*own, mount.client_security_group]
        self.log_group = log_group or logs.LogGroup(self, "LogGroup", retention=logs.RetentionDays.ONE_MONTH)
        signatures = _signatures(models, processed=processing is not None)
        publications = [
            ModelPublication(
                self,
                f"Publish{item.construct_id}",
                mount=item.model.source.mount,
                objects=item.objects,
                package_digest=item.model.package_digest,
                directory=item.mount_directory,
                keep_versions=item.model.source.keep_versions,
                architecture=architecture,
                signatures=signatures,
                image=image,
            )
            for item in placed
            if isinstance(item.model.source, OnMount) and item.mount_directory is not None
        ]
        service = Service(
            scope=self,
            context=context,
            image_digest=_placement.image_digest(models),
            signatures=signatures,
            image=image,
            architecture=architecture,
            environment=variables,
            metrics_namespace=metrics_namespace,
            memory_size=memory_size,
            models=models,
            processed=processing is not None,
            ephemeral_storage_size=storage,
            mount=mount,
            mount_access=access,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=security_groups,
            publications=publications,
            downloads=[part for item in placed if item.model.is_downloaded for part in item.objects],
        )
        self._make(
            service,
            command=_commands.HTTP,
            description=description or _description(models),
            role_description=f"Of the inference function {self.node.path}",
            with_models=True,
            takes_events=False,
            memory_size=memory_size,
            environment=variables,
            policies={},
        )
        self._warn(models, processing_files)
        _init_phase.warn(self, self.cold_start, models, memory_size=memory_size, timeout=self.timeout)
        _provisioned_validation.warn_of_account(self, self.cold_start, reserved_concurrent_executions)

    def _warn(self, models: Sequence[ServedModel], processing: _processing_files.ProcessingFiles | None) -> None:
        for model in models:
            if model.weights_in_graph <= _WORTH_MOVING:
                continue
            Annotations.of(self).add_warning_v2(
                _warnings.WEIGHTS_IN_GRAPH,
                f"The model {model.name!r} keeps {model.weights_in_graph / 1024**2:.0f} MiB of weights in its graph "
                "file, which onnxruntime reads and copies at every cold start. From a file of their own they load in "
                "about 60 % of the time. Save the model with: onnx.save(model, path, save_as_external_data=True, "
                "location='model.onnx.data').",
            )
        if processing is not None and processing.unparsed is not None:
            Annotations.of(self).add_warning_v2(
                _warnings.PROCESSING_NOT_PARSED,
                f"The Python of this machine cannot parse the processing file {processing.module!r} "
                f"({processing.unparsed}), so it was not checked. The image has a newer Python, which may.",
            )


def _signatures(models: Sequence[ServedModel], *, processed: bool) -> str:
    """The file with the models' signatures, for functions that do not load the models.

    If one name or version is known only at deployment, nothing is said about any model.

    Args:
        models: All models of the function.
        processed: Whether the user's processing comes between requests and the model. The model's signature is then not
            the signature of requests.
    """
    if any(is_unresolved(text) for model in models for text in (model.name, model.source.version)):
        return _signature.UNKNOWN
    return _signature.as_json(
        (model.name, model.source.version, None if processed else model.signature) for model in models
    )


def _description(models: Sequence[ServedModel]) -> str:
    if len(models) == 1:
        (model,) = models
        return f"ONNX model {model.name}, version {model.source.version}"
    return f"{len(models)} ONNX models"
