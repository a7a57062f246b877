"""A Lambda function that serves ONNX models, with the version and the alias that everything else invokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations, Duration, Names, Size, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference import _environment, _validation, _warnings
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.cold_start import _cold_start_validation, _init_phase
from cdk_onnx_inference.cold_start.cold_start import ColdStart
from cdk_onnx_inference.errors import InvalidInferenceConfig
from cdk_onnx_inference.image import _image_context, _processing_files, service_image
from cdk_onnx_inference.image.processing import Processing
from cdk_onnx_inference.image.service_image import AnyServiceImage, ServiceImage
from cdk_onnx_inference.models import _model_objects, _served_models
from cdk_onnx_inference.models._model_mount import ModelPublication
from cdk_onnx_inference.models._model_objects import ModelObject
from cdk_onnx_inference.models._served_models import ServedModel
from cdk_onnx_inference.models.model_source import FromBucket, InImage, ModelSource, OnMount

from ._live_function import LiveFunction, Service

_WORTH_MOVING = 128 * 1024 * 1024
"""Bytes of weights in the graph file above which their loading costs some 0.1 s more at each cold start than it need.

Measured with onnxruntime 1.31.1, two cores and the file in the page cache: 400 MB load in 0.70 s out of the graph,
and in 0.40 s out of a file beside it.
"""


class InferenceFunction(LiveFunction):
    """Serves an ONNX model, or several, under the Open Inference Protocol, from a container image on Lambda.

    It makes the function, a role of its own with no managed policies, a log group, a version for each change, and the
    alias `live`, which points to the newest version. Everything that invokes the function goes through the alias:
    `grant_invoke`, the metrics, and the library's other constructs. Versions are retained when a newer one takes
    their place, so that `live` can be pointed back at once; a version of an image function costs nothing by itself,
    except with SnapStart.

    Nothing is built at synth: the Docker context is copied into the cloud assembly, and `cdk deploy` builds it.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything.
        model: The model, e.g. `ModelSource.in_image("models/digits")`, or a list of several, each with a name or a
            version of its own; they share the function's memory, and at most one file system. A change of a model's
            content publishes a new version.
        processing: The user's own pre- and post-processing, of each model. A change publishes a new version. Default:
            requests go to the model as they are.
        cold_start: What is done about cold starts: one of the forms of `ColdStart`. A change of form publishes a new
            version with or from SnapStart, and otherwise updates in place. Default: nothing, which costs nothing.
        memory_size: Memory in MB, a whole number of 128 to 10240. CPU grows with it: 1769 MB are one vCPU, and the
            handler sizes onnxruntime's threads by it. Models whose `manifest.json` says how much memory they were
            measured to take (`measurements.after.anonymous_mb`) must fit. A change publishes a new version. Default:
            1769 MB, the least that gives a whole vCPU.
        timeout: Longest run of one invocation, 1 to 900 whole seconds; the first also waits for a start that took
            longer than 10 s. A change publishes a new version. Default: 30 seconds, which is what an HTTP API waits
            for.
        image: Where the image comes from; all functions of the service have it. A change publishes a new version.
            Default: `ServiceImage.built()`, with the deployment.
        architecture: Of the function, and hence of the image, which is built for the same. A change makes a new image
            and publishes a new version. Default: x86_64, on which onnxruntime has always run in Lambda and which most
            machines that build images have; arm64 is about a fifth cheaper, and needs onnxruntime 1.26 or later (the
            image has it), and a builder that can build for it.
        ephemeral_storage_size: Size of `/tmp`, 512 to 10240 MiB. A change publishes a new version. Default: 512 MiB,
            or as much as models that are downloaded need, and 64 MiB of room; what is above 512 MiB costs.
        reserved_concurrent_executions: Most environments that may run at once, taken from the account's pool; 0 stops
            the function. A change replaces nothing and publishes nothing. Default: no reservation.
        environment: Further environment variables, e.g. for `processing`. Not the names that the handler's own
            settings have, and at most 4 KB together with these. A change publishes a new version, except of a value
            that is known only at deployment. Default: none.
        vpc: A VPC to run in. Only a model on a file system needs one: that of the file system. A change updates the
            function in place. Default: that of the file system, or none.
        vpc_subnets: Which subnets of `vpc`. Default: those of the file system, or the private ones.
        security_groups: For the network interfaces in `vpc`. Default: a new one, which lets everything out. The file
            system's own for its clients comes on top.
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
        cold_start: What is done about cold starts.
        reserved_concurrent_executions: Environments that are reserved for the function, or None.
        scalable_target: Of the alias's provisioned concurrency, where it is scaled; else None.
        warmer: With `ColdStart.warmer()`; else None.

    Raises:
        InvalidInferenceConfig: With all problems: the codes that the factories of `ModelSource` and `Processing`
            name, and `model-missing`, `model-duplicate`, `model-mounts`, `memory-size-range`, `memory-too-small`,
            `timeout-range`, `ephemeral-storage-range`, `ephemeral-storage-too-small`, `reserved-concurrency-range`,
            `environment-reserved`, `environment-name`, `environment-too-large`, `metrics-namespace`, `vpc-missing`,
            `vpc-of-file-system`, `image-digest`, `image-file-collision`, `image-too-large`, `init-exceeds-timeout`,
            `cold-start-type`, and those that the factories of `ColdStart` name. At synth, in CDK's own way, of what is
            added to the attributes: `alias-weights`, `provisioned-excluded`, `tenant-isolation`,
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

        models, problems = _served_models.collect(at("model"), model)
        processing_files = None
        if processing is not None:
            processing_files, found = _processing_files.collect(at("processing"), processing)
            problems += found
        problems += service_image.check(at("image"), image)
        mount = _served_models.mount_of(models)
        problems += _validation.memory_size(at("memory_size"), memory_size) or _served_models.memory_size(
            at("memory_size"), memory_size, models
        )
        problems += _validation.timeout(at("timeout"), self.timeout)
        wrong_storage = _validation.ephemeral_storage_size(at("ephemeral_storage_size"), ephemeral_storage_size)
        storage, cache_size, found = _served_models.ephemeral_storage(
            at("ephemeral_storage_size"), ephemeral_storage_size, models
        )
        problems += wrong_storage or found
        problems += _validation.reserved_concurrent_executions(
            at("reserved_concurrent_executions"), reserved_concurrent_executions
        )
        account_concurrency = _cold_start_validation.account_concurrency(self)
        problems += _cold_start_validation.check(
            at("cold_start"),
            self.cold_start,
            timeout=self.timeout,
            reserved=reserved_concurrent_executions,
            on_file_system=mount is not None,
            storage=storage,
            region=Stack.of(self).region,
            account_concurrency=account_concurrency,
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
            self.node.path,
            _served_models.image_files(models),
            processing_files.files if processing_files else {},
        )
        if problems:
            raise InvalidInferenceConfig(problems)
        objects = {
            number: self._objects(_model_id(models, number), served)
            for number, served in enumerate(models)
            if not isinstance(served.source, InImage)
        }
        directories = {
            number: f"{served.source.mount.mount_path}/{self._directory(models, number)}"
            for number, served in enumerate(models)
            if isinstance(served.source, OnMount)
        }
        variables = {
            **(environment or {}),
            **_served_models.environment(
                models,
                objects={
                    number: _model_objects.as_json(parts)
                    for number, parts in objects.items()
                    if models[number].is_downloaded
                },
                directories=directories,
                cache_size=cache_size,
                processing=f"{_image_context.PROCESSING_DIRECTORY}/{processing_files.module}"
                if processing_files
                else None,
            ),
            _environment.METRICS_NAMESPACE: metrics_namespace,
            _environment.ORT_DISABLE_TELEMETRY: "1",
        }
        problems = _served_models.environment_size(
            at("environment"), _model_objects.environment_length(self, variables)
        )
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
        self.role = self._make_role(
            f"Of the inference function {self.node.path}", in_vpc=vpc is not None, mount_access=access
        )
        signatures = _served_models.signatures(models, processed=processing is not None)
        publications = [
            ModelPublication(
                self,
                f"Publish{_model_id(models, number)}",
                mount=served.source.mount,
                objects=objects[number],
                package_digest=served.package_digest,
                directory=self._directory(models, number),
                keep_versions=served.source.keep_versions,
                architecture=architecture,
                signatures=signatures,
                image=image,
            )
            for number, served in enumerate(models)
            if isinstance(served.source, OnMount)
        ]
        self._service = Service(
            scope=self,
            context=context,
            image_digest=_served_models.image_digest(models),
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
            downloads=[part for number, found in objects.items() if models[number].is_downloaded for part in found],
        )
        self._make(
            self._service,
            command=_image_context.HTTP_HANDLER,
            memory_size=memory_size,
            environment=variables,
            with_models=True,
            takes_events=False,
            description=description or _description(models),
        )
        self._warn(models, processing_files)
        slow = _init_phase.warning(self.cold_start, models, memory_size=memory_size, timeout=self.timeout)
        if slow is not None:
            Annotations.of(self).add_warning_v2(_warnings.INIT_PHASE, slow)
        _cold_start_validation.warn_of_account(
            self, self.cold_start, reserved_concurrent_executions, account_concurrency
        )

    def _objects(self, construct_id: str, model: ServedModel) -> list[ModelObject]:
        """The model's parts in S3. Those that are on this machine become assets, which add no resource."""
        if isinstance(model.source, FromBucket):
            return _model_objects.in_bucket(model.source.bucket, model.source.prefix, model.parts)
        return _model_objects.upload(Construct(self, construct_id), model.parts, model.files)

    def _directory(self, models: Sequence[ServedModel], number: int) -> str:
        """Below the mount, of one model of this function alone, because publishing one prunes the directory."""
        function = Names.unique_resource_name(self, max_length=100, separator="-")
        if len(models) == 1:
            return function
        model = models[number]
        known = [text for text in (model.name, model.source.version) if not is_unresolved(text)]
        return "/".join([function, *known]) if len(known) == 2 else f"{function}/{number}"

    def _warn(self, models: Sequence[ServedModel], processing: _processing_files.ProcessingFiles | None) -> None:
        for model in models:
            if model.weights_in_graph <= _WORTH_MOVING:
                continue
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


def _model_id(models: Sequence[ServedModel], number: int) -> str:
    """Part of construct ids: of several models, name and version tell which is meant, unless they are not known."""
    if len(models) == 1:
        return "Model"
    model = models[number]
    if is_unresolved(model.name) or is_unresolved(model.source.version):
        return f"Model{number}"
    return f"Model-{model.name}-{model.source.version}"


def _description(models: Sequence[ServedModel]) -> str:
    if len(models) == 1:
        (model,) = models
        return f"ONNX model {model.name}, version {model.source.version}"
    return f"{len(models)} ONNX models"
