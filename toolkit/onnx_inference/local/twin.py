"""The local twin: an embedded cloud, a Lambda host and a gateway, and what is deployed to them."""

import functools
import json
import shutil
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloudwatch import published
from onnx_inference.local.cloudwatch.alarms import AlarmsWatched
from onnx_inference.local.cloudwatch.observations import Observations
from onnx_inference.local.cloudwatch.published import ApiRequest
from onnx_inference.local.cloudwatch.queue_sampler import QueueSampler
from onnx_inference.local.code_deploy.rollout import Rollout
from onnx_inference.local.code_deploy.stand_in import CodeDeployStandIn
from onnx_inference.local.credentials import DEFAULT_ACCOUNT, DEFAULT_REGION, LocalCredentials
from onnx_inference.local.dashboard.page import Dashboard
from onnx_inference.local.dashboard.widgets import read_widgets
from onnx_inference.local.deployment.cdk_cli import CdkCli, CdkCliError, CliRun
from onnx_inference.local.deployment.cloud_assembly import CloudAssembly, StackArtifact
from onnx_inference.local.deployment.cloudformation import (
    CloudFormation,
    DeployedStack,
    DeploymentError,
    stack_resources,
)
from onnx_inference.local.deployment.synthesis import CdkApp
from onnx_inference.local.deployment.template_coverage import RecordedOnly, recorded_only
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.event_sources.event_sources import EventSource, EventSources
from onnx_inference.local.gateway.gateway import FUNCTION_URL, DeployedApi, Gateway, deployed_apis
from onnx_inference.local.gateway.http_server import RequestRecord
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.environment_records import REQUEST, EnvironmentRecord, Throttle
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.function_logs import FunctionLogs, LogLine, MetricDatum
from onnx_inference.local.lambda_host.host import HostLimits, LambdaHost
from onnx_inference.local.lambda_host.image_asset import ImageAsset, ImageAssets
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult
from onnx_inference.local.lambda_host.pre_initialisation import InitFailed
from onnx_inference.local.lambda_host.runtime_process import require_runtime_client
from onnx_inference.local.load.load_test import LoadError, LoadPlan, LoadResult, LoadTest
from onnx_inference.local.load.request_body import LoadRequest, inference_request, metadata_path, model_of
from onnx_inference.local.load.summary import functions_environments
from onnx_inference.local.schedules.agenda import Agenda
from onnx_inference.local.schedules.scaling import Scaling, ScalingChange, is_run_here
from onnx_inference.local.schedules.schedule import ScheduleFiring
from onnx_inference.local.schedules.timetable import Timetable

_FUNCTION = "AWS::Lambda::Function"
_NESTED_STACK = "AWS::CloudFormation::Stack"
_ALARM = "AWS::CloudWatch::Alarm"
_DASHBOARD = "AWS::CloudWatch::Dashboard"
_KEPT_REQUESTS = 20_000


class IncompleteDeployment(AssertionError):
    """Logical ids of a template are missing from the deployed stack."""


@dataclass(frozen=True)
class DeploymentSource:
    """What to deploy, and how.

    Attributes:
        directory: The project, with its `cdk.json`. Default: the working directory.
        app: The app's command. Default: that of `cdk.json`.
        context: Context values for the app.
        assembly: A cloud assembly to deploy instead of running an app.
        stacks: The stacks, with those they depend on. Default: all.
        cdk_cli: Deploy by the real CDK CLI instead of CloudFormation's API.
    """

    directory: Path = field(default_factory=Path.cwd)
    app: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    assembly: Path | None = None
    stacks: tuple[str, ...] = ()
    cdk_cli: bool = False


class LocalTwin:
    """A CDK app, deployed and served on this machine. A context manager; safe to use from many threads.

    Nothing of it is told what the app contains: it serves what the templates say.

    Args:
        account: The account of stacks that leave it open.
        region: The region of stacks that leave it open.
        first_port: The port of the first API, the next ones follow. Default: free ports.
        enforce_auth: False lets every request through, signed or not.
        container_engine: `podman` or `docker`, to really build images, push them to the embedded cloud and run them in
            containers; only with `cdk_cli`. Default: none is needed, the staged directories run in processes.
        limits: What the Lambda host allows itself on this machine.
        state_directory: Where the cloud's state is kept when the twin stops: stacks, tables, objects, queues with what
            is on them. A twin that starts with it goes on from there once the same app is deployed again, which changes
            nothing that did not change. Default: a twin begins empty and leaves nothing behind.
        clock: What idle expiry, schedules and scaling run on. Default: this machine's time.
        on_request: Called with the record of each answered request.
        on_invocation: Called with the record of each invocation that no request made.
        on_log: Called with each line a function prints.
        on_firing: Called with the record of each firing of a schedule.
    """

    def __init__(
        self,
        *,
        account: str = DEFAULT_ACCOUNT,
        region: str = DEFAULT_REGION,
        first_port: int | None = None,
        enforce_auth: bool = True,
        container_engine: str | None = None,
        limits: HostLimits | None = None,
        state_directory: Path | str | None = None,
        clock: Clock | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
        on_invocation: Callable[[InvocationRecord], None] | None = None,
        on_log: Callable[[LogLine], None] | None = None,
        on_firing: Callable[[ScheduleFiring], None] | None = None,
    ) -> None:
        self._account = account
        self._region = region
        self._first_port = first_port
        self._enforce_auth = enforce_auth
        self._container_executable = container_engine
        self._container_engine: ContainerEngine | None = None
        self._limits = limits or HostLimits()
        self._on_invocation = on_invocation
        self._on_firing = on_firing
        #: The twin's clock.
        self.clock = clock or Clock()
        self._functions: list[FunctionArn] = []
        self._listeners: list[Callable[[RequestRecord], None]] = [] if on_request is None else [on_request]
        self._source: DeploymentSource | None = None
        self._stacks: dict[str, StackArtifact] = {}
        self._assembly: CloudAssembly | None = None
        self._bootstrapped_by_cli = False
        self._lock = threading.RLock()
        self._logs = FunctionLogs(self.clock)
        self._requests: deque[ApiRequest] = deque(maxlen=_KEPT_REQUESTS)
        if on_log is not None:
            self._logs.listen(on_log)
        self._images = ImageAssets()
        self._cloud = EmbeddedCloud(
            self._invoke_for_cloud,
            account=account,
            region=region,
            state_directory=None if state_directory is None else Path(state_directory),
            make_snapshot=lambda config: self._host.snapshot(config),
            move_alias=lambda move: self._code_deploy.move(move),
        )
        self._started = False
        #: What the CDK CLI was run with and printed, in order; empty when it was not used.
        self.cli_runs: list[CliRun] = []

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the embedded cloud and the Lambda host.

        Raises:
            MissingExtra: The extra `local` is not installed.
            NotServed: Functions cannot be run on this machine.
            CloudError: The embedded cloud did not start.
            StateError: The kept state cannot be read.
        """
        require_runtime_client()
        self._cloud.start()
        self._scratch = Path(tempfile.mkdtemp(prefix="onnx-inference-twin-"))
        if self._container_executable is not None:
            registry = urlsplit(self._cloud.endpoint_url).netloc
            self._container_engine = ContainerEngine(self._container_executable, registry)
        self._code_deploy = CodeDeployStandIn(
            self._cloud,
            self.clock,
            invoke=self._invoke_recorded,
            logs=self._logs,
            watch=lambda names: AlarmsWatched(names, self._alarms(), self.observations, self.clock.time),
        )
        self._host = LambdaHost(
            lookup=self._cloud.functions.get,
            credentials=lambda account, region: replace(
                self._cloud.credentials(account=account, region=region), code_deploy_url=self._code_deploy.url
            ),
            images=self._images,
            logs=self._logs,
            run_zip=self._run_zip,
            limits=self._limits,
            container_engine=self._container_engine,
            access_point=self._cloud.access_point,
            clock=self.clock,
        )
        self._gateway = Gateway(
            self._cloud,
            functools.partial(self._host.invoke, kind=REQUEST),
            enforce_auth=self._enforce_auth,
            first_port=self._first_port,
            on_request=self._requested,
        )
        self._event_sources = EventSources(
            self._cloud, self._invoke_for_cloud, most_pollers=self._limits.environments_per_version
        )
        self._cloudformation = CloudFormation(
            self._cloud, self._account, self._region, shifting=self._code_deploy.running
        )
        self._start_agenda()
        self._queue_sampler = QueueSampler(self._cloud, self.clock)
        self._started = True

    def _start_agenda(self) -> None:
        self._agenda = Agenda(self.clock, self._look_at_schedules)
        self._timetable = Timetable(self._cloud, self.clock, self._agenda, self._invoke_recorded, self._on_firing)
        self._scaling = Scaling(
            self._cloud,
            self.clock,
            self._agenda,
            utilization=self._host.utilization,
            provision=lambda: self._host.provision(self._functions),
            note=self._timetable.note,
        )
        self._agenda.start()

    def _look_at_schedules(self) -> None:
        self._timetable.refresh()
        self._scaling.refresh()

    def stop(self) -> None:
        """Stop everything: no process or port stays behind, and no file but the kept state.

        Messages that were with a function become visible again after their visibility timeout, as on AWS.
        """
        if not self._started:
            return
        self._started = False
        self._code_deploy.close()
        self._queue_sampler.close()
        self._agenda.close()
        self._gateway.close()
        self._event_sources.stop_taking()
        self._host.close()
        self._event_sources.join()
        self._cloud.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> "LocalTwin":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # -- deploying ----------------------------------------------------------------------------------------------

    def deploy(
        self,
        *,
        directory: Path | str | None = None,
        app: str | None = None,
        context: Mapping[str, str] | None = None,
        assembly: Path | str | None = None,
        stacks: Sequence[str] = (),
        cdk_cli: bool = False,
    ) -> list[DeployedStack]:
        """Synthesise and deploy, and serve what was deployed. The arguments are those of `DeploymentSource`.

        Raises:
            SynthesisError: The app failed.
            AssemblyError: The assembly cannot be read, or has no such stack.
            DeploymentError: CloudFormation refused a stack or rolled it back.
            CdkCliError: The CDK CLI failed.
            IncompleteDeployment: Something of a template was not deployed.
            NotServed: The requirements of a processing file could not be installed.
        """
        return self._deploy(
            DeploymentSource(
                directory=Path.cwd() if directory is None else Path(directory),
                app=app,
                context=dict(context or {}),
                assembly=None if assembly is None else Path(assembly),
                stacks=tuple(stacks),
                cdk_cli=cdk_cli,
            )
        )

    def update(
        self, *, context: Mapping[str, str] | None = None, assembly: Path | str | None = None
    ) -> list[DeployedStack]:
        """Deploy again as before; the next request is answered by the new version.

        Args:
            context: Context values that replace those of the last deployment, or add to them.
            assembly: Another assembly, when an assembly was deployed.

        Raises:
            DeploymentError: Nothing was deployed before, or as `deploy`.
        """
        with self._lock:
            if self._source is None:
                raise DeploymentError("Nothing to update: deploy first.")
            changed = replace(self._source, context={**self._source.context, **(context or {})})
            if assembly is not None:
                changed = replace(changed, assembly=Path(assembly))
            return self._deploy(changed)

    def destroy(self) -> None:
        """Delete the deployed stacks, by the path they were deployed by.

        Raises:
            DeploymentError: A stack could not be deleted.
            CdkCliError: The CDK CLI failed.
        """
        with self._lock:
            if self._source is None or self._assembly is None:
                return
            if self._source.cdk_cli:
                names = [stack.display_name for stack in self._stacks.values()]
                self.cli_runs.append(self._cli(self._source).destroy(self._assembly.directory, names))
            else:
                for stack in reversed(self._stacks.values()):
                    self._cloudformation.delete(stack)
            self._stacks.clear()
            self._source = self._assembly = None
            self._serve()

    def _deploy(self, source: DeploymentSource) -> list[DeployedStack]:
        with self._lock:
            assembly = self._synthesise(source)
            stacks = assembly.select(source.stacks)
            for stack in stacks:
                self._cloud.recorded.accept(stack.resource_types())
                for image in stack.image_assets:
                    asset = ImageAsset(image.tag, image.directory, image.docker_file)
                    self._images.add(asset)
                    # Now, so that no request has to wait for it.
                    self._images.requirements_path(asset)
            if self._container_engine is not None and not source.cdk_cli:
                raise DeploymentError("Images are built by the CDK CLI: a container engine needs cdk_cli.")
            try:
                if source.cdk_cli:
                    self._deploy_by_cli(source, assembly, stacks)
                else:
                    for stack in stacks:
                        self._cloudformation.deploy(stack)
            except (DeploymentError, CdkCliError):
                # What was deployed before goes on; environments of a version that was rolled back do not.
                self._host.retain(self._functions)
                raise
            self._source, self._assembly = source, assembly
            self._stacks.update({stack.artifact_id: stack for stack in stacks})
            for stack in stacks:
                self.assert_complete(stack.stack_name)
            self._serve()
            return [self._described(stack) for stack in stacks]

    def _synthesise(self, source: DeploymentSource) -> CloudAssembly:
        if source.assembly is not None:
            return CloudAssembly(source.assembly)
        output = Path(tempfile.mkdtemp(prefix="cdk.out-", dir=self._scratch))
        return CdkApp(source.directory, source.app).synthesise(
            output,
            context=source.context,
            account=self._account,
            region=self._region,
            environment=self._cloud.caller_environment(),
        )

    def _deploy_by_cli(self, source: DeploymentSource, assembly: CloudAssembly, stacks: list[StackArtifact]) -> None:
        cli = self._cli(source)
        if not self._bootstrapped_by_cli:
            self.cli_runs.append(cli.bootstrap(assembly.directory))
            self._bootstrapped_by_cli = True
        if self._container_engine is None:
            for stack in stacks:
                self._cloudformation.seed_images(stack)
        self.cli_runs.append(cli.deploy(assembly.directory, [stack.display_name for stack in stacks]))

    def _cli(self, source: DeploymentSource) -> CdkCli:
        docker = None if self._container_engine is None else self._container_engine.write_shim(self._scratch)
        return CdkCli(source.directory.resolve(), self.credentials, self._cloud.caller_environment(), docker)

    def _serve(self) -> None:
        """Serve what is deployed now.

        Raises:
            DeploymentError: Provisioned environments could not be initialised.
        """
        apis: list[DeployedApi] = []
        functions: list[FunctionArn] = []
        for stack in self._stacks.values():
            account, region = self._cloudformation.environment_of(stack)
            resources = self._all_resources(stack.stack_name, account, region)
            apis += deployed_apis(stack.stack_name, account, region, resources)
            functions += [
                FunctionArn(account, region, resource["PhysicalResourceId"])
                for resource in resources
                if resource["ResourceType"] == _FUNCTION
            ]
        self._functions = functions
        self._host.retain(functions)
        failure = None
        try:
            # Before the APIs answer: provisioned concurrency is ready ahead of the first request.
            self._host.provision(functions)
        except InitFailed as error:
            failure = DeploymentError(str(error))
        self._event_sources.refresh()
        self._gateway.refresh(apis)
        if failure is not None:
            raise failure

    def _all_resources(self, stack_name: str, account: str, region: str) -> list[dict[str, Any]]:
        """The resources of a stack and of those nested in it."""
        client = self._cloud.client("cloudformation", account=account, region=region)
        resources = stack_resources(client, stack_name)
        for resource in list(resources):
            if resource["ResourceType"] == _NESTED_STACK:
                resources += self._all_resources(resource["PhysicalResourceId"], account, region)
        return resources

    # -- what is deployed ---------------------------------------------------------------------------------------

    @property
    def credentials(self) -> LocalCredentials:
        """The embedded cloud's endpoint and the credentials to it; they also sign requests to the APIs."""
        return self._cloud.credentials()

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded cloud."""
        return self._cloud.client(service)

    def endpoints(self) -> list[Endpoint]:
        """What is served."""
        return self._gateway.endpoints()

    def outputs(self, stack: str | None = None, *, local: bool = False) -> dict[str, str]:
        """The outputs of a stack; of all stacks when none is named.

        Args:
            stack: The stack's name.
            local: Replace the URLs of APIs by those they are served at here.
        """
        found: dict[str, str] = {}
        for artifact in self._stacks.values():
            if stack in (None, artifact.stack_name):
                found.update(self._described(artifact).outputs)
        return {name: self.local_url(value) for name, value in found.items()} if local else found

    def local_url(self, url: str) -> str:
        """Where a URL of a deployed API is served here; any other text as it is."""
        return next((here for e in self.endpoints() if (here := e.localise(url)) is not None), url)

    def assert_complete(self, stack: str) -> None:
        """Check that every logical id of a stack's template was deployed.

        Resources with a condition are left out: whether they are made is the template's to say.

        Raises:
            IncompleteDeployment: Some are missing.
            KeyError: The stack was not deployed by this twin.
        """
        artifact = next((a for a in self._stacks.values() if a.stack_name == stack), None)
        if artifact is None:
            raise KeyError(stack)
        resources = artifact.template.get("Resources", {})
        wanted = {name for name, resource in resources.items() if "Condition" not in resource}
        deployed = {summary["LogicalResourceId"] for summary in self._cloudformation.resources(artifact)}
        missing = sorted(wanted - deployed)
        if missing:
            raise IncompleteDeployment(f"{stack}: not deployed: {', '.join(missing)}")

    def recorded_only(self) -> list[RecordedOnly]:
        """What of the deployed templates the twin records and does not run."""
        types = [
            str(resource["Type"])
            for stack in self._stacks.values()
            for resource in stack.template.get("Resources", {}).values()
            if not is_run_here(resource)
        ]
        return recorded_only(types, self._cloud.recorded.has_type)

    def _described(self, stack: StackArtifact) -> DeployedStack:
        found = self._cloudformation.describe(stack)
        if found is None:
            raise DeploymentError(f"{stack.stack_name} is not deployed")
        return found

    # -- load ---------------------------------------------------------------------------------------------------

    def load(
        self,
        plan: LoadPlan,
        *,
        request: LoadRequest | None = None,
        url: str | None = None,
        on_progress: Callable[[LoadTest], None] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> LoadResult:
        """Send real requests to a deployed API, each at its time, and put together what came of them.

        Args:
            plan: How many, when.
            request: What to send. Default: what the function's model says that it takes. The environment that is
                started only to ask it is stopped again, so that the load begins as if nobody had asked.
            url: Which of the endpoints. Default: the first.
            on_progress: Called a few times a second, and once at the end.
            interrupted: Ends the load early.

        Raises:
            LoadError: Nothing is served, or there is no model to ask.
        """
        endpoint = next((e for e in self.endpoints() if url in (None, e.url)), None)
        if endpoint is None:
            raise LoadError("There is no such endpoint to send requests to." if url else "No API is served.")
        service = ("lambda" if endpoint.kind == FUNCTION_URL else "execute-api") if self._enforce_auth else None
        credentials = self._cloud.credentials()
        names = tuple(sorted({function.name for function in endpoint.functions}))
        if request is None:
            request = self._request_for(endpoint, service)
        test = LoadTest(endpoint.url, request, plan, self.clock, credentials, service)
        self._listeners.append(test.observe)
        started_at, began = self.clock.now(), time.perf_counter()
        runner = threading.Thread(target=test.run, args=(interrupted,), name="load", daemon=True)
        runner.start()
        while runner.is_alive():
            runner.join(timeout=0.25)
            if on_progress is not None:
                on_progress(test)
        seconds, ended_at = time.perf_counter() - began, self.clock.now()
        self._listeners.remove(test.observe)
        lives = [record for name in names for record in self.environments(name)]
        throttles = [t for name in names for t in self.throttles(name) if started_at <= t.at <= ended_at]
        return LoadResult(
            plan=plan,
            request=request,
            url=endpoint.url,
            functions=names,
            speed=self.clock.speed,
            started_at=started_at,
            ended_at=ended_at,
            seconds=seconds,
            samples=tuple(test.collected()),
            environments=functions_environments(lives, started_at),
            throttles=tuple(throttles),
            late=test.late,
        )

    def _request_for(self, endpoint: Endpoint, service: str | None) -> LoadRequest:
        """An inference request for the model behind an endpoint, which is asked what it takes."""
        for function in endpoint.functions:
            deployed = self._cloud.functions.get(function)
            configuration = None if deployed is None else deployed.primary_configuration(function.qualifier)
            model = None if configuration is None else model_of(configuration.environment)
            if model is None:
                continue
            asking = LoadTest(endpoint.url, LoadRequest(""), LoadPlan(1, 1), self.clock, self.credentials, service)
            status, body = asking.fetch("GET", metadata_path(model))
            if status != 200:
                raise LoadError(f"The model {model} answered {status} when asked what it takes: {body[:300]!r}")
            self._host.forget_lone_requests(function.name)
            try:
                return inference_request(model, json.loads(body))
            except (KeyError, TypeError, ValueError) as error:
                raise LoadError(f"What the model {model} says that it takes cannot be sent: {error}") from error
        raise LoadError("No model is known behind the API: give a request by --body and --path.")

    def _requested(self, record: RequestRecord) -> None:
        if record.dimensions:
            at = self.clock.time() - record.duration_ms / 1000 * self.clock.speed
            self._requests.append(ApiRequest(record.dimensions, at, record.status, record.duration_ms))
        for listener in list(self._listeners):
            listener(record)

    # -- what runs ----------------------------------------------------------------------------------------------

    def invoke(self, function: str, payload: bytes, *, qualifier: str | None = None) -> InvocationResult:
        """Invoke a deployed function by name, as `lambda.invoke` does, without going through the cloud's API."""
        arn = FunctionArn(self._account, self._region, function, qualifier)
        return self._host.invoke(arn, payload)

    def invocations(self, function: str | None = None) -> list[InvocationRecord]:
        """The records of invocations, oldest first; of one function when it is named."""
        return self._host.records(function)

    def environments(self, function: str | None = None) -> list[EnvironmentRecord]:
        """The lives of the execution environments there are and were, oldest first; of one function when it is named.

        Times are the clock's. Whatever the twin shows of cold starts is counted from these records.
        """
        return self._host.environment_records(function)

    def throttles(self, function: str | None = None) -> list[Throttle]:
        """The invocations that were refused for want of concurrency, oldest first."""
        return self._host.throttles(function)

    def firings(self, schedule: str | None = None) -> list[ScheduleFiring]:
        """What schedules, rules and scheduled scaling actions fired, oldest first; one of them when it is named."""
        return [firing for firing in self._timetable.firings() if schedule in (None, firing.name)]

    def scaling(self) -> list[ScalingChange]:
        """How Application Auto Scaling has changed provisioned concurrency, oldest first."""
        return self._scaling.changes()

    def refused_schedules(self) -> dict[str, str]:
        """The schedules and scaling actions that cannot fire, by name, with the reason."""
        return {**self._timetable.refused, **self._scaling.refused}

    def rollouts(self) -> list[Rollout]:
        """What the stand-in for CodeDeploy did, oldest first; also of a deployment that runs at the moment."""
        return self._code_deploy.rollouts()

    def observations(self, since: float = 0.0) -> Observations:
        """The values of metrics as AWS would have published them to CloudWatch, from a time of the clock on.

        Args:
            since: Seconds since 1970. Default: all that is kept.
        """
        records = [record for record in self._host.records() if record.started_at.timestamp() >= since]
        return Observations(
            [
                *published.of_invocations(records, self._host.environment_records(), self.clock.speed),
                *published.of_throttles(t for t in self._host.throttles() if t.at.timestamp() >= since),
                *published.of_utilization(sample for sample in self._host.utilization() if sample.at >= since),
                *published.of_requests(request for request in list(self._requests) if request.at >= since),
                *published.of_embedded(datum for datum in self._logs.metrics() if datum.at >= since),
                *published.of_queues(sample for sample in self._queue_sampler.samples() if sample.at >= since),
            ]
        )

    def dashboards(self) -> list[Dashboard]:
        """The dashboards of the deployed stacks."""
        found = []
        for stack in self._stacks.values():
            account, region = self._cloudformation.environment_of(stack)
            client = self._cloud.client("cloudwatch", account=account, region=region)
            for resource in self._all_resources(stack.stack_name, account, region):
                if resource["ResourceType"] == _DASHBOARD:
                    name = resource["PhysicalResourceId"]
                    body = client.get_dashboard(DashboardName=name)["DashboardBody"]
                    found.append(Dashboard(name, read_widgets(body)))
        return found

    def _alarms(self) -> dict[str, Mapping[str, Any]]:
        return {alarm.physical_id: alarm.properties for alarm in self._cloud.recorded.of_type(_ALARM)}

    def logs(self, function: str | None = None) -> list[LogLine]:
        """What the functions printed, oldest first; of one function when it is named."""
        return self._logs.lines(function)

    def metrics(self, name: str | None = None) -> list[MetricDatum]:
        """The embedded metrics the functions printed, oldest first; of one metric when it is named."""
        return self._logs.metrics(name)

    def event_sources(self) -> list[EventSource]:
        """The event source mappings of queues and the pipes there are, with what they did so far."""
        return self._event_sources.sources()

    def processes(self) -> list[int]:
        """The process ids of the execution environments there are at the moment."""
        return [environment.pid for environment in self._host.environments() if environment.pid is not None]

    def command_of(self, function: FunctionArn) -> str:
        """The command that a function's runtime is started with, for display."""
        deployed = self._cloud.functions.get(function)
        configuration = None if deployed is None else deployed.primary_configuration(function.qualifier)
        return "" if configuration is None else " ".join(configuration.command)

    def _invoke_for_cloud(self, arn: str, payload: bytes) -> InvocationResult:
        return self._invoke_recorded(FunctionArn.parse(arn), payload)

    def _invoke_recorded(self, arn: FunctionArn, payload: bytes) -> InvocationResult:
        result = self._host.invoke(arn, payload)
        if self._on_invocation is not None:
            self._on_invocation(result.record)
        return result

    def _run_zip(self, arn: FunctionArn, payload: bytes) -> InvocationResult:
        """Run a function that is not an image: the embedded cloud does it."""
        started_at, started = datetime.now(UTC), time.perf_counter()
        client = self._cloud.client("lambda", account=arn.account, region=arn.region)
        answer = client.invoke(FunctionName=str(arn), Payload=payload)
        error = answer.get("FunctionError")
        record = InvocationRecord(
            request_id=str(uuid.uuid4()),
            invoked_function_arn=str(arn),
            function_name=arn.name,
            function_version=str(answer.get("ExecutedVersion", "$LATEST")),
            started_at=started_at,
            cold_start=False,
            init_duration_ms=None,
            duration_ms=(time.perf_counter() - started) * 1000,
            queued_ms=0.0,
            memory_size_mb=0,
            max_memory_used_mb=0,
            status="success" if error is None else "error",
            error_type=error,
            log_stream="",
        )
        return InvocationResult(answer["Payload"].read(), error, record)
