"""The embedded cloud: MiniStack in this process, on loopback.

Only this package touches MiniStack's internals. MiniStack is pinned exactly in pyproject.toml, and
`tests/toolkit/local/cloud` holds the internals to what is expected of them.
"""

import asyncio
import concurrent.futures
import contextvars
import importlib
import json
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from onnx_inference.extras import import_from_extra
from onnx_inference.local.cloud import state
from onnx_inference.local.cloud.alarms import ALARM, keeping_handlers
from onnx_inference.local.cloud.aliases import AliasMover, AliasUpdates
from onnx_inference.local.cloud.auto_delete_objects import empty_bucket
from onnx_inference.local.cloud.queues import EmbeddedQueues
from onnx_inference.local.cloud.records import CloudSchedule, RecordedResource
from onnx_inference.local.cloud.streams import PROPERTIES, EmbeddedStreams, with_stream_records
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host.function_configuration import DeployedFunction, FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationResult, TooManyRequests

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"

#: Resource types that MiniStack does not know. They are recorded, so that a template deploys unchanged, and do nothing.
RECORDED_ONLY_TYPES = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::AnomalyDetector",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentConfig",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::Logs::QueryDefinition",
    "AWS::Synthetics::Canary",
    # CDK's own: it empties a VPC's default security group by a function that needs the SDK of Lambda's Node runtime.
    "Custom::VpcRestrictDefaultSG",
)

_BUCKET = "AWS::S3::Bucket"
_FUNCTION = "AWS::Lambda::Function"
_PIPE = "AWS::Pipes::Pipe"
_AUTO_DELETE_OBJECTS = "Custom::S3AutoDeleteObjects"
_Result = TypeVar("_Result")

_SCHEDULE = "AWS::Scheduler::Schedule"
_VERSION = "AWS::Lambda::Version"
_ALIAS = "AWS::Lambda::Alias"
#: How long a version's snapshot may take until a deployment gives up.
_SNAPSHOT_SECONDS = 930.0

#: What runs an image function: the invoked ARN with its qualifier, and the event as JSON.
ImageInvoker = Callable[[str, bytes], InvocationResult]
#: What makes the snapshot of a version: the function's ARN, and the version as Lambda's API describes it.
SnapshotMaker = Callable[[FunctionArn, Mapping[str, Any]], None]

_running = threading.Lock()
_port: int | None = None


class CloudError(RuntimeError):
    """The embedded cloud cannot start, or is not running."""


class EmbeddedCloud:
    """MiniStack in a thread of this process, bound to loopback on a free port.

    MiniStack keeps its state in modules, so one process holds one cloud at a time.

    Args:
        invoke_image: Runs an image function; called for every invocation that the cloud itself makes
            (`lambda.invoke`, event source mappings, schedules).
        region: The default region.
        account: The default account.
        state_directory: Where the state is kept between two runs. Default: it is forgotten.
        make_snapshot: Initialises a published version with SnapStart; what it raises fails the version.
        move_alias: Moves an alias with CodeDeploy's update policy. Default: it moves at once.
    """

    def __init__(
        self,
        invoke_image: ImageInvoker,
        *,
        region: str = DEFAULT_REGION,
        account: str = DEFAULT_ACCOUNT,
        state_directory: Path | None = None,
        make_snapshot: SnapshotMaker | None = None,
        move_alias: AliasMover | None = None,
    ) -> None:
        self._state_directory = state_directory
        self._invoke_image = invoke_image
        self._make_snapshot = make_snapshot
        self._move_alias = move_alias
        self._region = region
        self._account = account
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._saved_environment: dict[str, str | None] = {}
        self._originals: list[tuple[Any, str, Any]] = []
        self._added_types: set[str] = set()
        self._recorded_only: set[str] = set()
        self._recorded: dict[str, RecordedResource] = {}
        self._original_handlers: dict[str, Any] = {}
        self._data_directory: Path | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the cloud and return once it answers.

        Raises:
            MissingExtra: MiniStack is not installed.
            CloudError: Another cloud runs in this process, or it did not come up.
            StateError: The kept state cannot be read.
        """
        if not _running.acquire(blocking=False):
            raise CloudError("An embedded cloud already runs in this process: only one at a time is possible.")
        try:
            kept = None if self._state_directory is None else state.read(self._state_directory)
            self._set_environment(None if kept is None else kept["port"])
            import_from_extra("ministack", "local")
            self._app = _ministack("app")
            self._lambda = _ministack("services.lambda_svc")
            self._provisioners = _ministack("services.cloudformation.provisioners")
            logging.getLogger("ministack").setLevel(logging.WARNING)
            self._replace(self._lambda, "_execute_function_docker", self._execute_image)
            self._replace(self._app, "_docker_socket_present", lambda: False)
            self._ecr = _ministack("services.ecr")
            self._replace(self._ecr, "_describe_images", self._describe_images(self._ecr._describe_images))
            self._custom_resources = _ministack("services.cloudformation.custom_resource")
            execute = self._lambda._execute_function_with_config_scope
            self._replace(self._lambda, "_execute_function_with_config_scope", self._answer_for_failed(execute))
            self._record(RECORDED_ONLY_TYPES)
            self._keep_tags_of_buckets()
            self._empty_buckets()
            self._keep_what_is_dropped()
            self._keep_schedules()
            self._take_over_snapshots()
            self._keep_alarms()
            self._take_over_aliases()
            self._carry_events_ourselves()
            if kept is not None:
                state.restore(kept, self._app)
                self._recorded.update(kept["recorded"])
            self._serve()
        except BaseException:
            self._restore()
            _running.release()
            raise

    def stop(self) -> None:
        """Stop the cloud. What it held is kept in the state directory, or forgotten when there is none."""
        if self._thread is None:
            return
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=15)
        self._thread = None
        if self._state_directory is not None:
            assert _port is not None
            state.save(self._state_directory, self._app, port=_port, recorded=self._recorded)
        self._app._reset_all_state()
        self._restore()
        _running.release()

    @property
    def endpoint_url(self) -> str:
        """The URL at which the cloud answers every AWS API."""
        return f"http://127.0.0.1:{_port}"

    def credentials(self, *, account: str | None = None, region: str | None = None) -> LocalCredentials:
        """The credentials for one environment (account and region) of this cloud."""
        return LocalCredentials(self.endpoint_url, account or self._account, region or self._region)

    def client(self, service: str, *, account: str | None = None, region: str | None = None) -> Any:
        """A boto3 client for one service in one environment of this cloud."""
        boto3 = import_from_extra("boto3", "local")
        config = import_from_extra("botocore.config", "local").Config(
            retries={"max_attempts": 1}, read_timeout=930, s3={"addressing_style": "path"}
        )
        credentials = self.credentials(account=account, region=region)
        return boto3.session.Session(
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            region_name=credentials.region,
        ).client(service, endpoint_url=credentials.endpoint_url, config=config)

    # -- resource types -----------------------------------------------------------------------------------------

    def unknown_types(self, types: Iterable[str]) -> list[str]:
        """Those of the resource types that the cloud would refuse."""
        handlers = self._provisioners._RESOURCE_HANDLERS
        return sorted({name for name in types if name not in handlers and not name.startswith("Custom::")})

    def record_only(self, types: Iterable[str]) -> None:
        """Accept resource types that the cloud does not know: they are recorded and do nothing."""
        self._record(self.unknown_types(types))

    def _record(self, types: Iterable[str]) -> None:
        for name in types:
            self._provisioners._RESOURCE_HANDLERS[name] = _recording_handler(
                name, self._account, self._region, self._recorded
            )
            self._added_types.add(name)
            self._recorded_only.add(name)

    def is_recorded_only(self, resource_type: str) -> bool:
        """Whether resources of this type are recorded and nothing else."""
        return resource_type in self._recorded_only

    def _keep_what_is_dropped(self) -> None:
        """Keep functions' FileSystemConfigs and reserved concurrency, which MiniStack's CloudFormation drops."""

        def keep(physical_id: str, properties: Mapping[str, Any]) -> None:
            function = self._lambda._functions[physical_id]
            function["config"]["FileSystemConfigs"] = properties.get("FileSystemConfigs", [])
            reserved = properties.get("ReservedConcurrentExecutions")
            function["concurrency"] = None if reserved is None else int(reserved)

        self._after_each_change(_FUNCTION, keep)

    def _keep_tags_of_buckets(self) -> None:
        """Keep buckets' tags, which MiniStack's CloudFormation drops: one of them lets CDK empty the bucket."""
        buckets = _ministack("services.s3")

        def keep(name: str, properties: Mapping[str, Any]) -> None:
            buckets._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}

        self._after_each_change(_BUCKET, keep)

    def _after_each_change(self, resource_type: str, keep: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Call `keep` with the physical id and the properties of each resource that is made or updated."""
        handlers = self._provisioners._RESOURCE_HANDLERS
        original = handlers[resource_type]

        def create(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
            made = original["create"](logical_id, properties, stack_name)
            keep(made[0], properties)
            return made

        def update(
            physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *arguments: Any, **named: Any
        ) -> Any:
            updated = original["update"](physical_id, old, new, *arguments, **named)
            keep(updated[0], new)
            return updated

        handlers[resource_type] = {**original, "create": create, "update": update}
        self._original_handlers[resource_type] = original

    def _empty_buckets(self) -> None:
        """Do what CDK's function for `auto_delete_objects` would, which cannot run here: see `empty_bucket`."""

        # The bucket's name is the physical id: of another bucket it is another resource, and the old one is deleted.
        def create(_logical_id: str, properties: Mapping[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
            return properties["BucketName"], {}

        def update(_physical_id: str, _old: object, new: Mapping[str, Any], *_: object) -> tuple[str, dict[str, str]]:
            return new["BucketName"], {}

        def delete(_physical_id: str, properties: Mapping[str, Any]) -> None:
            _, _, _, region, account, _ = properties["ServiceToken"].split(":", 5)
            empty_bucket(self.client("s3", account=account, region=region), properties["BucketName"])

        self._provisioners._RESOURCE_HANDLERS[_AUTO_DELETE_OBJECTS] = {
            "create": create,
            "update": update,
            "delete": delete,
        }
        self._added_types.add(_AUTO_DELETE_OBJECTS)

    def _answer_for_failed(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Running a function, and saying FAILED for one that was to answer CloudFormation and ended with an error.

        MiniStack would wait for the answer, as AWS does: an hour, unless the resource has a `ServiceTimeout`.
        """

        def execute_and_answer(func: Mapping[str, Any], event: Any, *arguments: Any, **named: Any) -> Any:
            result = execute(func, event, *arguments, **named)
            url = event.get("ResponseURL") if isinstance(event, dict) else None
            if isinstance(url, str) and isinstance(result, dict) and result.get("error"):
                answer = {"Status": "FAILED", "Reason": f"The function ended without an answer: {result.get('body')}"}
                self._custom_resources.deliver_response(url.rpartition("/")[2], answer)
            return result

        return execute_and_answer

    # -- event sources ------------------------------------------------------------------------------------------

    def _carry_events_ourselves(self) -> None:
        """Switch off MiniStack's pollers of queues and pipes: the twin has its own.

        MiniStack's invoke by the version instead of the alias, know no batching window, and its pipes no filters.
        """
        self._pipes = _ministack("services.pipes")
        self._sqs = _ministack("services.sqs")
        self._dynamodb = _ministack("services.dynamodb")
        self._responses = _ministack("core.responses")
        self._replace(self._lambda, "_poll_sqs", lambda: False)
        self._replace(self._pipes, "_poll_once", lambda: None)

        for name in ("insert", "update", "delete"):
            original = getattr(self._dynamodb, f"_partiql_{name}")
            replacement = with_stream_records(original, self._dynamodb, inserts=name == "insert")
            self._replace(self._dynamodb, f"_partiql_{name}", replacement)

        def keep(physical_id: str, properties: Mapping[str, Any]) -> None:
            self._pipes._pipes[physical_id][PROPERTIES] = dict(properties)

        self._after_each_change(_PIPE, keep)

    def run(self, action: Callable[[], _Result], *, account: str, region: str) -> _Result:
        """Run something on the cloud's event loop, beside its API handlers, in one account and region.

        Raises:
            CloudError: The cloud is stopping.
        """

        async def scoped() -> _Result:
            self._responses._request_account_id.set(account)
            self._responses._request_region.set(region)
            return action()

        if self._loop is None or self._loop.is_closed():
            raise CloudError("The embedded cloud does not run.")
        coroutine = scoped()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)
        except (RuntimeError, concurrent.futures.CancelledError, TimeoutError) as error:
            coroutine.close()
            raise CloudError(f"The embedded cloud is stopping: {error}") from error

    @property
    def queues(self) -> EmbeddedQueues:
        """The queues, in memory."""
        return EmbeddedQueues(self, self._sqs)

    @property
    def streams(self) -> EmbeddedStreams:
        """The tables' streams and the pipes, in memory."""
        return EmbeddedStreams(self, self._dynamodb, self._pipes)

    def event_source_mappings(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Every event source mapping there is: its account, region and record, as Lambda's API gives it."""
        mappings = self._lambda._esms.all_items()
        return [(account, region, dict(record)) for (account, region, _), record in mappings]

    def access_point(self, arn: str) -> tuple[str, str]:
        """Where an access point of EFS or S3 Files leads: its file system's id, and its root directory there."""
        if arn in self._recorded:  # S3 Files, which MiniStack's CloudFormation does not know
            properties = self._recorded[arn].properties
            return properties["FileSystemId"], (properties.get("RootDirectory") or {}).get("Path", "/")
        _, _, _, region, account, resource = arn.split(":", 5)
        client = self.client("efs", account=account, region=region)
        (found,) = client.describe_access_points(AccessPointId=resource.rpartition("/")[2])["AccessPoints"]
        return found["FileSystemId"], found["RootDirectory"]["Path"]

    # -- schedules and scaling ----------------------------------------------------------------------------------

    def _keep_schedules(self) -> None:
        """Take over from MiniStack's own firing, and keep what its CloudFormation drops of schedules."""
        self._scheduler = _ministack("services.scheduler")
        self._events = _ministack("services.eventbridge")
        self._replace(self._scheduler, "_tick_schedules", _do_nothing)
        self._replace(self._events, "_tick_scheduled_rules", _do_nothing)

        def keep(name: str, properties: Mapping[str, Any]) -> None:
            kept = self._scheduler._schedules[f"{properties.get('GroupName', 'default')}/{name}"]
            kept["ScheduleExpressionTimezone"] = properties.get("ScheduleExpressionTimezone", "UTC")
            kept["State"] = properties.get("State", "ENABLED")
            kept["StartDate"], kept["EndDate"] = properties.get("StartDate"), properties.get("EndDate")

        self._after_each_change(_SCHEDULE, keep)

    def schedules(self) -> list[CloudSchedule]:
        """Every schedule, and every rule that has a schedule expression, of all accounts and regions."""
        found = [
            CloudSchedule(account, region, record, (record["Target"],), is_rule=False)
            for (account, region, _), record in list(self._scheduler._schedules._data.items())
        ]
        for (account, region, key), rule in list(self._events._rules._data.items()):
            if rule.get("ScheduleExpression"):
                targets = self._events._targets._data.get((account, region, key), ())
                found.append(CloudSchedule(account, region, rule, tuple(targets), is_rule=True))
        return found

    def event_for_target(self, rule: CloudSchedule, target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
        """What a rule's target receives: its Input, InputPath or InputTransformer applied to the event."""
        view = self._events._pattern_event_view(dict(event))
        whole = view.event_with_detail()
        if target.get("InputTransformer"):
            return str(self._events._apply_input_transformer(target["InputTransformer"], rule.record, view))
        if target.get("Input"):
            return str(target["Input"])
        for part in str(target.get("InputPath") or "").strip("$.").split("."):
            # A path that leads nowhere leaves the whole event in place.
            if not part or not isinstance(whole, dict) or part not in whole:
                break
            whole = whole[part]
        return json.dumps(whole)

    def deliver(self, schedule: CloudSchedule, target: Mapping[str, Any], payload: str) -> None:
        """Hand an event to a target that is no function: a queue, a topic, a state machine, a bus."""
        responses = _ministack("core.responses")
        context = contextvars.copy_context()

        def dispatch() -> None:
            responses.set_request_account_id(schedule.account)
            responses.set_request_region(schedule.region)
            event = {"Source": "aws.events", "DetailType": "Scheduled Event", "Detail": "{}", "Time": time.time()}
            self._events._invoke_target({**target, "Input": payload}, event, schedule.record)

        context.run(dispatch)

    def recorded(self, resource_type: str) -> list[RecordedResource]:
        """The deployed resources of a type that is recorded only."""
        return [entry for entry in list(self._recorded.values()) if entry.resource_type == resource_type]

    # -- SnapStart ----------------------------------------------------------------------------------------------

    def _take_over_snapshots(self) -> None:
        """Make the snapshots of published versions here, and fail a deployment whose version has none."""
        stacks = _ministack("services.cloudformation.stacks")
        runs_on_worker_thread = stacks._runs_on_worker_thread
        self._replace(self._lambda, "_snapstart_provision_version_async", self._snapshot_version)
        # A function's init may call this cloud, which cannot answer while its event loop waits for the function.
        self._replace(
            stacks, "_runs_on_worker_thread", lambda kind: kind in (_VERSION, _ALIAS) or runs_on_worker_thread(kind)
        )
        self._after_each_change(_VERSION, lambda arn, _properties: self._await_snapshot(FunctionArn.parse(arn)))

    def _snapshot_version(self, name: str, version: dict[str, Any]) -> None:
        """What MiniStack calls when a version with SnapStart was published."""
        config = version["config"]

        def make() -> None:
            try:
                if self._make_snapshot is not None:
                    self._make_snapshot(FunctionArn.parse(config["FunctionArn"]), config)
            except Exception as error:  # whatever it was, the version is not to stay pending
                config.update(State="Failed", StateReason=str(error), StateReasonCode="FunctionError")
            else:
                config.update(State="Active", StateReason="", StateReasonCode="", LastUpdateStatus="Successful")

        threading.Thread(target=make, name=f"snapshot-{name}", daemon=True).start()

    def _await_snapshot(self, arn: FunctionArn) -> None:
        deadline = time.monotonic() + _SNAPSHOT_SECONDS
        while time.monotonic() < deadline:
            deployed = self.function(arn)
            config = {} if deployed is None else deployed.configurations.get(arn.qualifier or "", {})
            if config.get("State") == "Failed":
                raise ValueError(f"{arn} did not become active: {config.get('StateReason')}")
            if config.get("State") != "Pending" or (config.get("SnapStart") or {}).get("OptimizationStatus") != "On":
                return
            time.sleep(0.02)
        raise ValueError(f"{arn} did not become active: its snapshot was not made in {_SNAPSHOT_SECONDS:.0f} seconds")

    # -- aliases and alarms -------------------------------------------------------------------------------------

    def _take_over_aliases(self) -> None:
        """Let an alias with CodeDeploy's update policy be moved by `move_alias`."""
        if self._move_alias is None:
            return
        engine = _ministack("services.cloudformation.engine")
        updates = AliasUpdates(self._move_alias, engine, _ministack("services.cloudformation")._stacks)
        deploy = updates.remembered(_ministack("services.cloudformation.stacks")._deploy_stack_async)
        for module in ("handlers", "changesets"):
            self._replace(_ministack(f"services.cloudformation.{module}"), "_deploy_stack_async", deploy)
        self._replace(engine, "_extract_deps", updates.dependencies(engine._extract_deps))
        self._replace_handlers(_ALIAS, updates.handlers)

    def _keep_alarms(self) -> None:
        self._replace_handlers(
            ALARM, lambda original: keeping_handlers(original, self._account, self._region, self._recorded)
        )

    def _replace_handlers(self, resource_type: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Put others in place of MiniStack's handlers of a resource type."""
        handlers = self._provisioners._RESOURCE_HANDLERS
        self._original_handlers[resource_type] = handlers[resource_type]
        handlers[resource_type] = change(handlers[resource_type])

    # -- deployed functions -------------------------------------------------------------------------------------

    def function(self, arn: FunctionArn) -> DeployedFunction | None:
        """The function as deployed at this moment: its versions, aliases and reserved concurrency.

        Read from memory, not through the API, because it is asked at every invocation.
        """
        record = self._lambda._functions.get_scoped(arn.account, arn.region, arn.name)
        if record is None:
            return None
        return DeployedFunction.from_record(record)

    def _execute_image(self, func: Mapping[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        """What MiniStack calls to run an image function, in place of its container pool."""
        config = func.get("config") or func
        try:
            result = self._invoke_image(str(config["FunctionArn"]), json.dumps(event).encode())
        except TooManyRequests as error:
            response: dict[str, Any] = self._lambda._throttle_response(reason_code=error.reason, msg=str(error))
            return response
        answer: dict[str, Any] = {
            "body": result.payload.decode(),
            "raw_payload": True,
            "log": result.log_tail,
            "error": result.function_error is not None,
        }
        if result.function_error is not None:
            answer["function_error"] = result.function_error
        return answer

    def _describe_images(self, describe: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        """ECR's DescribeImages with the error for an image that is missing.

        MiniStack answers with an empty list instead, and the CDK CLI then takes every image to be there already.
        """

        def describe_images(request: dict[str, Any]) -> Any:
            name = request.get("repositoryName", "")
            for image in request.get("imageIds") or () if name in self._ecr._repositories else ():
                if not self._ecr._find_image(name, image):
                    message = f"The image with imageId {json.dumps(image)} does not exist in the repository {name!r}"
                    return self._ecr.error_response_json("ImageNotFoundException", message, 400)
            return describe(request)

        return describe_images

    # -- serving ------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="embedded-cloud", daemon=True)
        self._thread.start()
        ready.wait(timeout=30)
        if self._failure is not None or not ready.is_set():
            self._thread = None
            raise CloudError(f"The embedded cloud did not start: {self._failure}")
        _wait_for_port(_port)

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._main(ready))
        except BaseException as error:
            self._failure = error
            ready.set()

    async def _main(self, ready: threading.Event) -> None:
        config = importlib.import_module("hypercorn.config").Config()
        config.bind = [f"127.0.0.1:{_port}"]
        config.keep_alive_timeout = 75
        config.loglevel = "WARNING"
        config.graceful_timeout = 0.5
        serve = importlib.import_module("hypercorn.asyncio").serve
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        ready.set()
        await serve(self._app.app, config, shutdown_trigger=self._stopping.wait)

    # -- what MiniStack reads from the process's environment ------------------------------------------------------

    def _set_environment(self, port: int | None) -> None:
        global _port
        # MiniStack computes its URLs from the port when it is imported: a process keeps one port.
        if port is not None and _port not in (None, port):
            raise CloudError(f"The kept state has URLs with the port {port}; this process runs clouds on {_port}.")
        if _port is None and port is not None and not _is_free(port):
            raise CloudError(f"The kept state has URLs with the port {port}, on which something else listens.")
        _port = _port or port or _free_port()
        self._data_directory = Path(tempfile.mkdtemp(prefix="onnx-inference-cloud-"))
        values = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(_port),
            "MINISTACK_HOST": "localhost",
            "MINISTACK_ACCOUNT_ID": self._account,
            "MINISTACK_REGION": self._region,
            "S3_DATA_DIR": str(self._data_directory / "s3"),
            "STATE_DIR": str(self._data_directory / "state"),
            "S3_PERSIST": "0",
            "PERSIST_STATE": "0",
            "LOCALSTACK_PERSISTENCE": "0",
            "AUTH": "false",
            "USE_SSL": "",
            "SERVICES": "",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }
        for name, value in values.items():
            self._saved_environment[name] = os.environ.get(name)
            os.environ[name] = value

    def caller_environment(self) -> dict[str, str]:
        """The process's environment without what this module put into it for MiniStack."""
        environment = dict(os.environ)
        for name, value in self._saved_environment.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        return environment

    def _replace(self, module: ModuleType, name: str, value: object) -> None:
        self._originals.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def _restore(self) -> None:
        for module, name, value in reversed(self._originals):
            setattr(module, name, value)
        self._originals.clear()
        for name, handler in self._original_handlers.items():
            self._provisioners._RESOURCE_HANDLERS[name] = handler
        self._original_handlers.clear()
        for name in self._added_types:
            self._provisioners._RESOURCE_HANDLERS.pop(name, None)
        self._added_types.clear()
        self._recorded_only.clear()
        for name, saved in self._saved_environment.items():
            if saved is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = saved
        self._saved_environment.clear()
        if self._data_directory is not None:
            shutil.rmtree(self._data_directory, ignore_errors=True)
        for leftover in ("ministack-provided-code", "ministack-lambda-extract"):
            shutil.rmtree(Path(tempfile.gettempdir()) / f"{leftover}-{_port}", ignore_errors=True)


def _ministack(name: str) -> Any:
    return importlib.import_module(f"ministack.{name}")


def _recording_handler(
    resource_type: str, account: str, region: str, recorded: dict[str, RecordedResource]
) -> dict[str, Callable[..., Any]]:
    """The handler of a resource type that is recorded only: a physical id and an ARN, nothing behind them.

    Args:
        resource_type: The type.
        account: The account of its ARNs.
        region: Their region.
        recorded: Receives each resource, by its ARN; a deleted one leaves.
    """
    _, service, kind = resource_type.split("::") if resource_type.count("::") == 2 else ("", "custom", "")

    def arn_of(physical_id: str) -> str:
        return f"arn:aws:{service.lower()}:{region}:{account}:{physical_id}"

    def attributes(physical_id: str, properties: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        arn = arn_of(physical_id)
        recorded[arn] = RecordedResource(resource_type, physical_id, account, region, properties)
        # A resource's attributes bear its kind in their names or do not: AccessPointArn, but RoleArn, and just Arn.
        return physical_id, {"Arn": arn, "Id": physical_id, f"{kind}Arn": arn, f"{kind}Id": physical_id}

    def create(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
        return attributes(f"{stack_name}-{logical_id}", properties)

    def update(physical_id: str, _old: object, new: Mapping[str, Any], *_: object) -> tuple[str, dict[str, str]]:
        return attributes(physical_id, new)

    def delete(physical_id: str, _properties: Mapping[str, Any]) -> None:
        recorded.pop(arn_of(physical_id), None)

    return {"create": create, "update": update, "delete": delete}


def _do_nothing() -> None:
    """In place of what the twin does itself."""


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_for_port(port: int | None) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise CloudError(f"The embedded cloud does not listen on port {port}.")
