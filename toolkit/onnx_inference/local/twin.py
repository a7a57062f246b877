"""The local twin: an embedded cloud, a Lambda host and a gateway, and what is deployed to them."""

import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloud.zip_functions import invoke_zip
from onnx_inference.local.cloudwatch.alarms import AlarmsWatched
from onnx_inference.local.cloudwatch.metrics import Metrics
from onnx_inference.local.cloudwatch.observations import Observations
from onnx_inference.local.cloudwatch.queue_sampler import QueueSampler
from onnx_inference.local.code_deploy.rollout import Rollout
from onnx_inference.local.code_deploy.stand_in import CodeDeployStandIn
from onnx_inference.local.credentials import DEFAULT_ACCOUNT, DEFAULT_REGION, LocalCredentials
from onnx_inference.local.dashboard.page import Dashboard
from onnx_inference.local.dashboard.widgets import read_widgets
from onnx_inference.local.deployment.cdk_cli import CdkCliError, CliRun
from onnx_inference.local.deployment.cloudformation import DeployedStack, DeploymentError
from onnx_inference.local.deployment.deployment import Deployment, DeploymentSource
from onnx_inference.local.deployment.template_coverage import RecordedOnly
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.event_sources.event_sources import EventSource, EventSources
from onnx_inference.local.gateway.gateway import DeployedApi, Gateway, deployed_apis
from onnx_inference.local.gateway.http_server import RequestRecord
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.environment_records import REQUEST, EnvironmentRecord, Throttle
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.function_logs import FunctionLogs, LogLine, MetricDatum
from onnx_inference.local.lambda_host.host import HostLimits, LambdaHost
from onnx_inference.local.lambda_host.image_asset import ImageAssets
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult
from onnx_inference.local.lambda_host.pre_initialisation import InitFailed
from onnx_inference.local.lambda_host.runtime_process import require_runtime_client
from onnx_inference.local.load.load_runner import LoadRunner
from onnx_inference.local.load.load_test import LoadError, LoadPlan, LoadResult, LoadTest
from onnx_inference.local.load.request_body import LoadRequest
from onnx_inference.local.schedules.agenda import Agenda
from onnx_inference.local.schedules.scaling import Scaling, ScalingChange
from onnx_inference.local.schedules.schedule import ScheduleFiring
from onnx_inference.local.schedules.timetable import Timetable

_FUNCTION = "AWS::Lambda::Function"
_ALARM = "AWS::CloudWatch::Alarm"
_DASHBOARD = "AWS::CloudWatch::Dashboard"


class LocalTwin:
    """A CDK app, deployed and served on this machine. A context manager; safe to use from many threads.

    It serves what the templates contain, and needs to know nothing else of the app. A process can run one twin at a
    time.

    Args:
        account: The account of stacks that name none.
        region: The region of stacks that name none.
        first_port: The port of the first API; the next APIs get the next ports. Default: free ports.
        enforce_auth: False lets every request through, signed or not.
        container_engine: `podman` or `docker`: images are built, pushed to the embedded cloud and run in containers.
            Needs `cdk_cli`. Default: nothing is built; the staged directories run in processes.
        limits: Limits of the Lambda host on this machine.
        state_directory: Where the cloud's state is kept when the twin stops: stacks, tables, objects, queues and their
            messages. A twin that is started with it goes on from there, once the same app is deployed again; that
            changes nothing that did not change. Default: a twin begins empty and leaves nothing behind.
        clock: What idle expiry, schedules and scaling run on. Default: this machine's time.
        on_request: Called with the record of each answered request.
        on_invocation: Called with the record of each invocation that no request made.
        on_log: Called with each line that a function prints.
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
        #: The twin's clock.
        self.clock = clock or Clock()
        self._account = account
        self._region = region
        self._first_port = first_port
        self._enforce_auth = enforce_auth
        self._container_engine = container_engine
        self._limits = limits or HostLimits()
        self._on_request = on_request
        self._on_invocation = on_invocation
        self._on_firing = on_firing
        self._logs = FunctionLogs(self.clock)
        if on_log is not None:
            self._logs.listen(on_log)
        self._cloud = EmbeddedCloud(
            self._invoke_for_cloud,
            account=account,
            region=region,
            state_directory=None if state_directory is None else Path(state_directory),
            make_snapshot=lambda config: self._host.snapshot(config),
            move_alias=lambda move: self._code_deploy.move(move),
        )
        self._functions: list[FunctionArn] = []
        self._lock = threading.RLock()
        self._started = False

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the embedded cloud and the Lambda host.

        Raises:
            MissingExtra: The extra `local` is not installed.
            NotServed: Functions cannot be run on this machine, or the container engine is missing.
            CloudError: The embedded cloud did not start, or this process runs one already.
            StateError: The kept state cannot be read.
        """
        require_runtime_client()
        self._cloud.start()
        self._scratch = Path(tempfile.mkdtemp(prefix="onnx-inference-twin-"))
        try:
            engine = self._find_container_engine()
        except BaseException:
            self._cloud.stop()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        self._code_deploy = CodeDeployStandIn(
            self._cloud,
            self.clock,
            invoke=self._invoke_recorded,
            logs=self._logs,
            watch=lambda names: AlarmsWatched(names, self._alarms(), self.observations, self.clock.time),
        )
        images = ImageAssets()
        self._host = LambdaHost(
            lookup=self._cloud.functions.get,
            credentials=lambda account, region: replace(
                self._cloud.credentials(account=account, region=region), code_deploy_url=self._code_deploy.url
            ),
            images=images,
            logs=self._logs,
            run_zip=functools.partial(invoke_zip, self._cloud),
            limits=self._limits,
            container_engine=engine,
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
        self._deployment = Deployment(
            self._cloud,
            images,
            self._account,
            self._region,
            scratch=self._scratch,
            container_engine=engine,
            shifting=self._code_deploy.running,
        )
        self._queue_sampler = QueueSampler(self._cloud, self.clock)
        self._metrics = Metrics(self._host, self._logs, self._queue_sampler, self.clock)
        self._load = LoadRunner(self._cloud, self._host, self.clock, signed=self._enforce_auth)
        self._start_agenda()
        self._started = True

    def _find_container_engine(self) -> ContainerEngine | None:
        if self._container_engine is None:
            return None
        return ContainerEngine(self._container_engine, urlsplit(self._cloud.endpoint_url).netloc)

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
        """Stop everything. No process, port or file stays behind, except the kept state.

        Messages that a function was working on become visible again after their visibility timeout, as on AWS.
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
        """Synthesise and deploy, and serve what was deployed.

        Args:
            directory: The project, with its `cdk.json`. Default: the working directory.
            app: The app's command. Default: that of `cdk.json`.
            context: Context values for the app.
            assembly: A cloud assembly to deploy instead of running an app.
            stacks: The names of the stacks; stacks that they depend on are deployed too. Default: all.
            cdk_cli: Deploy with the real CDK CLI instead of CloudFormation's API.

        Raises:
            SynthesisError: The app failed.
            AssemblyError: The assembly cannot be read, or has no such stack.
            DeploymentError: CloudFormation refused a stack or rolled it back.
            CdkCliError: The CDK CLI failed.
            IncompleteDeployment: Something of a template was not deployed.
            NotServed: The requirements of a processing file could not be installed.
        """
        source = DeploymentSource(
            directory=Path.cwd() if directory is None else Path(directory),
            app=app,
            context=dict(context or {}),
            assembly=None if assembly is None else Path(assembly),
            stacks=tuple(stacks),
            cdk_cli=cdk_cli,
        )
        return self._served(lambda: self._deployment.deploy(source))

    def update(
        self, *, context: Mapping[str, str] | None = None, assembly: Path | str | None = None
    ) -> list[DeployedStack]:
        """Deploy the same source again. The next request is answered by the new version.

        Args:
            context: Context values that replace those of the last deployment, or add to them.
            assembly: Another assembly, when an assembly was deployed.

        Raises:
            DeploymentError: Nothing was deployed before. Otherwise the errors are those of `deploy`.
        """
        changed = None if assembly is None else Path(assembly)
        return self._served(lambda: self._deployment.update(context=context or {}, assembly=changed))

    def destroy(self) -> None:
        """Delete the deployed stacks, by the CDK CLI if it deployed them.

        Raises:
            DeploymentError: A stack could not be deleted.
            CdkCliError: The CDK CLI failed.
        """
        with self._lock:
            self._deployment.destroy()
            self._serve()

    def _served(self, deploy: Callable[[], list[DeployedStack]]) -> list[DeployedStack]:
        """Deploy, and serve what is deployed then."""
        with self._lock:
            try:
                deployed = deploy()
            except (DeploymentError, CdkCliError):
                # What was deployed before goes on; environments of a version that was rolled back do not.
                self._host.retain(self._functions)
                raise
            self._serve()
            return deployed

    def _serve(self) -> None:
        """Serve what is deployed now.

        Raises:
            DeploymentError: Provisioned environments could not be initialised.
        """
        apis: list[DeployedApi] = []
        functions: list[FunctionArn] = []
        for stack in self._deployment.resources():
            apis += deployed_apis(stack.stack_name, stack.account, stack.region, stack.summaries)
            functions += [FunctionArn(stack.account, stack.region, name) for name in stack.of_type(_FUNCTION)]
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

    # -- what is deployed ---------------------------------------------------------------------------------------

    @property
    def credentials(self) -> LocalCredentials:
        """The embedded cloud's endpoint and the credentials to it; they also sign requests to the APIs."""
        return self._cloud.credentials()

    @property
    def cli_runs(self) -> list[CliRun]:
        """What the CDK CLI was run with and printed, in order; empty when it was not used."""
        return self._deployment.cli_runs

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded cloud."""
        return self._cloud.client(service)

    def endpoints(self) -> list[Endpoint]:
        """The URLs that are served, one for each stage of an API and for each function URL."""
        return self._gateway.endpoints()

    def outputs(self, stack: str | None = None, *, local: bool = False) -> dict[str, str]:
        """The outputs of a stack; of all stacks when none is named.

        Args:
            stack: The stack's name.
            local: Replace the URLs of APIs by the URLs at which they are served here.
        """
        found = self._deployment.outputs(stack)
        return {name: self.local_url(value) for name, value in found.items()} if local else found

    def local_url(self, url: str) -> str:
        """Where a URL of a deployed API is served here; any other text as it is."""
        return next((here for e in self.endpoints() if (here := e.localise(url)) is not None), url)

    def assert_complete(self, stack: str) -> None:
        """Check that every logical id of a stack's template was deployed.

        Resources with a condition are left out, because the condition decides whether they exist.

        Raises:
            IncompleteDeployment: Some are missing.
            KeyError: The stack was not deployed by this twin.
        """
        self._deployment.assert_complete(stack)

    def recorded_only(self) -> list[RecordedOnly]:
        """The resource types of the deployed templates that the twin records and does not run."""
        return self._deployment.recorded_only()

    def dashboards(self) -> list[Dashboard]:
        """The dashboards of the deployed stacks."""
        found = []
        for stack in self._deployment.resources():
            client = self._cloud.client("cloudwatch", account=stack.account, region=stack.region)
            for name in stack.of_type(_DASHBOARD):
                body = client.get_dashboard(DashboardName=name)["DashboardBody"]
                found.append(Dashboard(name, read_widgets(body)))
        return found

    def command_of(self, function: FunctionArn) -> str:
        """The command that a function's runtime is started with, for display."""
        deployed = self._cloud.functions.get(function)
        configuration = None if deployed is None else deployed.primary_configuration(function.qualifier)
        return "" if configuration is None else " ".join(configuration.command)

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
        """Send real requests to a deployed API at a steady rate, and put together what came of them.

        Args:
            plan: The rate and the duration.
            request: What to send. Default: what the function's model says that it takes. The environment that is
                started only to ask it is stopped again, so that the load begins as if nobody had asked.
            url: The endpoint to send to. Default: the first.
            on_progress: Called a few times a second, and once at the end. An exception that it raises ends the load.
            interrupted: Looked at often; True ends the load early.

        Raises:
            LoadError: Nothing is served, or there is no model to ask.
        """
        endpoint = next((e for e in self.endpoints() if url in (None, e.url)), None)
        if endpoint is None:
            raise LoadError("There is no such endpoint to send requests to." if url else "No API is served.")
        return self._load.run(endpoint, plan, request=request, on_progress=on_progress, interrupted=interrupted)

    # -- what runs ----------------------------------------------------------------------------------------------

    def invoke(self, function: str, payload: bytes, *, qualifier: str | None = None) -> InvocationResult:
        """Invoke a deployed function by name, as `lambda.invoke` does, without going through the cloud's API."""
        arn = FunctionArn(self._account, self._region, function, qualifier)
        return self._host.invoke(arn, payload)

    def invocations(self, function: str | None = None) -> list[InvocationRecord]:
        """The records of invocations, oldest first; of one function when it is named."""
        return self._host.records(function)

    def environments(self, function: str | None = None) -> list[EnvironmentRecord]:
        """The records of all execution environments so far, oldest first; of one function when it is named.

        Times are on the twin's clock. Everything that the twin shows about cold starts is counted from these records.
        """
        return self._host.environment_records(function)

    def throttles(self, function: str | None = None) -> list[Throttle]:
        """The invocations that were refused by reserved concurrency, oldest first; of one function when it is named."""
        return self._host.throttles(function)

    def firings(self, schedule: str | None = None) -> list[ScheduleFiring]:
        """The firings of schedules, rules and scheduled scaling actions, oldest first; of one when it is named."""
        return [firing for firing in self._timetable.firings() if schedule in (None, firing.name)]

    def scaling(self) -> list[ScalingChange]:
        """The changes of provisioned concurrency by Application Auto Scaling, oldest first."""
        return self._scaling.changes()

    def refused_schedules(self) -> dict[str, str]:
        """The schedules and scaling actions that cannot fire, by name, with the reason."""
        return {**self._timetable.refused, **self._scaling.refused}

    def rollouts(self) -> list[Rollout]:
        """The rollouts by the stand-in for CodeDeploy, oldest first; also one that is under way."""
        return self._code_deploy.rollouts()

    def observations(self, since: float = 0.0) -> Observations:
        """The values of metrics as AWS would have published them to CloudWatch.

        Args:
            since: The earliest time on the twin's clock, in seconds since 1970. Default: all that is kept.
        """
        return self._metrics.observations(since)

    def logs(self, function: str | None = None) -> list[LogLine]:
        """The lines that functions printed, oldest first; of one function when it is named."""
        return self._logs.lines(function)

    def metrics(self, name: str | None = None) -> list[MetricDatum]:
        """The embedded metrics that functions printed, oldest first; of one metric when it is named."""
        return self._logs.metrics(name)

    def event_sources(self) -> list[EventSource]:
        """The event source mappings of queues and the pipes, with what they did so far."""
        return self._event_sources.sources()

    def processes(self) -> list[int]:
        """The process ids of the current execution environments."""
        return [environment.pid for environment in self._host.environments() if environment.pid is not None]

    # -- what the parts call ------------------------------------------------------------------------------------

    def _invoke_for_cloud(self, arn: str, payload: bytes) -> InvocationResult:
        return self._invoke_recorded(FunctionArn.parse(arn), payload)

    def _invoke_recorded(self, arn: FunctionArn, payload: bytes) -> InvocationResult:
        result = self._host.invoke(arn, payload)
        if self._on_invocation is not None:
            self._on_invocation(result.record)
        return result

    def _requested(self, record: RequestRecord) -> None:
        self._metrics.requested(record)
        self._load.observe(record)
        if self._on_request is not None:
            self._on_request(record)

    def _alarms(self) -> dict[str, Mapping[str, Any]]:
        return {alarm.physical_id: alarm.properties for alarm in self._cloud.recorded.of_type(_ALARM)}
