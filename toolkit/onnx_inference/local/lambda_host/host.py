"""The Lambda service's data plane: resolves aliases, counts concurrency, runs invocations, keeps their records."""

import contextlib
import functools
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_inference.local.clock import Clock
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host import environment_records as life
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.environment_records import EnvironmentLedger, EnvironmentRecord, Throttle
from onnx_inference.local.lambda_host.execution_environment import (
    INIT_PHASE_SECONDS,
    ExecutionEnvironment,
    Outcome,
    Workspace,
)
from onnx_inference.local.lambda_host.file_systems import AccessPointLookup, FileSystems
from onnx_inference.local.lambda_host.function_configuration import DeployedFunction, FunctionArn, FunctionConfiguration
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.function_pool import Acquired, FunctionPool, PoolClosed
from onnx_inference.local.lambda_host.image_asset import ImageAssets
from onnx_inference.local.lambda_host.invocation import (
    PAYLOAD_LIMIT_BYTES,
    InvocationRecord,
    InvocationResult,
    NotServed,
    RequestEntityTooLarge,
    ResourceNotFound,
    SnapStartNotReady,
    TooManyRequests,
)

#: What an event of the warmer bears as its `source`; `tests/contract` holds it to the constructs and the handler.
WARMER_SOURCE = "cdk-onnx-inference.warmer"
_KEPT_RECORDS = 10_000
#: Environments that are initialised ahead may take longer than those made on demand: this, or the function's timeout.
_AHEAD_INIT_SECONDS = 130.0
_RUNTIME_ENTRY_POINTS = ("python", "awslambdaric", "lambda-entrypoint.sh", "bootstrap")

#: Looks up what is deployed under an ARN at this moment.
FunctionLookup = Callable[[FunctionArn], DeployedFunction | None]
#: The credentials of an account and region.
CredentialsOf = Callable[[str, str], LocalCredentials]
_PoolKey = tuple[str, str, str]


@dataclass(frozen=True)
class UtilizationSample:
    """What part of the provisioned concurrency was in use when an invocation began.

    `arn` is the function's, with the alias or version; `at` is the twin clock's time in seconds.
    """

    arn: str
    at: float
    utilization: float


class InitFailed(RuntimeError):
    """Environments that are initialised ahead could not be; the message is the function's."""


@dataclass(frozen=True)
class HostLimits:
    """What the host allows itself on this machine.

    Attributes:
        environments_per_version: Beyond it invocations wait for an environment; provisioned ones do not count.
            Default: two per processor, at least ten.
        idle_seconds: How long an unused environment is kept, on the twin's clock. AWS does not say how long it keeps
            them, and keeps no promise. Default: ten minutes.
    """

    environments_per_version: int = max(10, 2 * (os.cpu_count() or 1))
    idle_seconds: float = 600.0


class LambdaHost:
    """Runs the invocations of every deployed image function.

    Args:
        lookup: Tells what is deployed; asked at every invocation, so that a moved alias serves the next one.
        credentials: The embedded cloud's credentials, given to the functions.
        images: The staged images.
        logs: Where functions' output goes.
        run_zip: Runs a function that is not an image.
        limits: What the host allows itself.
        on_record: Called with the record of each invocation.
        container_engine: Runs images in containers, instead of their staged directories in processes.
        access_point: Tells where an access point leads. Default: functions have no file systems.
        clock: What idle expiry and the records run on. Default: this machine's time.
    """

    def __init__(
        self,
        *,
        lookup: FunctionLookup,
        credentials: CredentialsOf,
        images: ImageAssets,
        logs: FunctionLogs,
        run_zip: Callable[[FunctionArn, bytes], InvocationResult] | None = None,
        limits: HostLimits | None = None,
        on_record: Callable[[InvocationRecord], None] | None = None,
        container_engine: ContainerEngine | None = None,
        access_point: AccessPointLookup | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._ledger = EnvironmentLedger(self._clock)
        self._utilization: deque[UtilizationSample] = deque(maxlen=_KEPT_RECORDS)
        self._provisioning = threading.Lock()
        self._background: set[threading.Thread] = set()
        self._lookup = lookup
        self._container_engine = container_engine
        self._credentials = credentials
        self._images = images
        self._logs = logs
        self._run_zip = run_zip
        self._limits = limits or HostLimits()
        self._on_record = on_record
        self._pools: dict[_PoolKey, FunctionPool] = {}
        self._in_flight: Counter[tuple[str, str, str]] = Counter()
        self._records: deque[InvocationRecord] = deque(maxlen=_KEPT_RECORDS)
        self._lock = threading.Lock()
        self._scratch = Path(tempfile.mkdtemp(prefix="onnx-inference-lambda-"))
        self._file_systems = FileSystems(self._scratch / "file-systems", access_point) if access_point else None
        self._closing = threading.Event()
        self._janitor = threading.Thread(target=self._expire_idle, name="lambda-idle-expiry", daemon=True)
        self._janitor.start()

    # -- invoking -----------------------------------------------------------------------------------------------

    def invoke(
        self, arn: FunctionArn, payload: bytes, *, trace_id: str | None = None, kind: str | None = None
    ) -> InvocationResult:
        """Run one synchronous invocation.

        Args:
            arn: The function, with the alias or version it is invoked by.
            payload: The event.
            trace_id: The X-Ray header; made up when there is none.
            kind: For the records. Default: `ping` for the warmer's events, else `other`.

        Raises:
            ResourceNotFound: There is no such function, version or alias.
            RequestEntityTooLarge: The event is over 6 MB.
            TooManyRequests: The reserved concurrency is used up.
            SnapStartNotReady: There is no snapshot of the version.
            NotServed: The twin cannot run this function.
        """
        deployed = self._lookup(arn)
        version = None if deployed is None else deployed.version_of(arn.qualifier)
        configuration = None if deployed is None or version is None else deployed.configuration(version)
        if deployed is None or configuration is None:
            raise ResourceNotFound(f"Function not found: {arn}")
        if len(payload) > PAYLOAD_LIMIT_BYTES:
            raise RequestEntityTooLarge(
                f"Request must be smaller than {PAYLOAD_LIMIT_BYTES} bytes for the InvokeFunction operation"
            )
        if configuration.package_type != "Image":
            if self._run_zip is None:
                raise NotServed(f"{arn.name} is not an image function: the twin's host runs images only.")
            return self._run_zip(arn, payload)
        if configuration.snap_start and deployed.configurations[configuration.version].get("State") == "Pending":
            raise SnapStartNotReady(f"The snapshot of {arn} is being made.")
        with self._concurrency(arn, deployed.reserved_concurrency):
            return self._run(arn, configuration, payload, trace_id or _trace_id(), kind or _kind(payload))

    def _run(
        self, arn: FunctionArn, configuration: FunctionConfiguration, payload: bytes, trace_id: str, kind: str
    ) -> InvocationResult:
        request_id = str(uuid.uuid4())
        started_at, waiting_since = self._clock.now(), time.perf_counter()
        pool, acquired = self._acquire(configuration, arn.qualifier)
        environment, cold = acquired.environment, acquired.fresh
        self._note_utilization(pool, arn)
        outcome: Outcome | None = None
        try:
            init_ms: float | None = None
            restore_ms: float | None = None
            budget = float(configuration.timeout_seconds)
            spent_ms = 0.0
            if cold and pool.snap_start:
                # The time to make another snapshot process is none that Lambda would take: it counts as waiting.
                if not environment.waits_for_restore:
                    outcome = _failure_of(environment.initialise(request_id, _ahead_seconds(configuration)))
                queued_ms = (time.perf_counter() - waiting_since) * 1000
                if outcome is None:
                    restored = environment.restore(request_id)
                    restore_ms, outcome = restored.duration_ms, _failure_of(restored)
                self._in_background(functools.partial(self._keep_spare, configuration, pool))
            elif cold:
                queued_ms = (time.perf_counter() - waiting_since) * 1000
                first = environment.initialise(request_id, INIT_PHASE_SECONDS)
                init_ms = first.duration_ms
                if first.status != "success":
                    # As Lambda does: begin again, now within the invocation and its timeout.
                    pool, environment = self._replace(pool, environment, configuration)
                    again = environment.initialise(request_id, budget)
                    init_ms, spent_ms = None, again.duration_ms
                    budget -= spent_ms / 1000
                    outcome = _failure_of(again)
            else:
                queued_ms = (time.perf_counter() - waiting_since) * 1000
            if outcome is None:
                environment.record.serves(request_id, kind, cold=cold)
                outcome = environment.invoke(
                    request_id, payload, arn=str(arn), trace_id=trace_id, timeout_seconds=max(budget, 0.001)
                )
                environment.record.served(outcome.duration_ms, outcome.status)
        finally:
            cause = _end_cause(environment, outcome)
            if cause is None:
                pool.release(environment)
            else:
                pool.discard(environment, cause)
                if environment.provisioned_for is not None:
                    self._in_background(functools.partial(self._refill, configuration, pool))
        record = InvocationRecord(
            request_id=request_id,
            invoked_function_arn=str(arn),
            function_name=configuration.name,
            function_version=configuration.version,
            started_at=started_at,
            cold_start=cold,
            init_duration_ms=init_ms,
            duration_ms=outcome.duration_ms + (spent_ms if outcome.status != "init_error" else 0.0),
            queued_ms=queued_ms,
            memory_size_mb=configuration.memory_mb,
            max_memory_used_mb=environment.max_memory_used_mb,
            status=outcome.status,
            error_type=outcome.error_type,
            log_stream=environment.log_stream,
            kind=kind,
            restore_duration_ms=restore_ms,
            spillover=acquired.spillover,
        )
        with self._lock:
            self._records.append(record)
        if self._on_record is not None:
            self._on_record(record)
        error = None if outcome.status == "success" else "Unhandled"
        return InvocationResult(outcome.payload, error, record, environment.log_tail)

    # -- concurrency --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _concurrency(self, arn: FunctionArn, reserved: int | None) -> Iterator[None]:
        """Count the invocation against the function's reserved concurrency, which all its versions share."""
        key = (arn.account, arn.region, arn.name)
        with self._lock:
            if reserved is not None and self._in_flight[key] >= reserved:
                self._ledger.throttled(arn.name, arn.qualifier)
                raise TooManyRequests("Rate Exceeded.")
            self._in_flight[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight[key] -= 1

    # -- environments -------------------------------------------------------------------------------------------

    def _acquire(
        self, configuration: FunctionConfiguration, qualifier: str | None = None
    ) -> tuple[FunctionPool, Acquired]:
        while True:
            pool = self._pool(configuration)
            try:
                return pool, pool.acquire(qualifier)
            except PoolClosed:
                if self._closing.is_set():
                    raise NotServed("The twin is stopping.") from None

    def _replace(
        self, pool: FunctionPool, environment: ExecutionEnvironment, configuration: FunctionConfiguration
    ) -> tuple[FunctionPool, ExecutionEnvironment]:
        """A new environment in place of one whose init phase failed."""
        pool.discard(environment, life.INIT_FAILED)
        while True:
            pool, acquired = self._acquire(configuration)
            if acquired.fresh:
                return pool, acquired.environment
            pool.release(acquired.environment)

    def _pool(self, configuration: FunctionConfiguration) -> FunctionPool:
        key = _pool_key(configuration)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None and not self._closing.is_set():
                pool = FunctionPool(
                    functools.partial(self._create, configuration),
                    limit=self._limits.environments_per_version,
                    idle_seconds=self._limits.idle_seconds,
                    now=self._clock.time,
                    snap_start=configuration.snap_start,
                )
                self._pools[key] = pool
        if pool is None:
            raise NotServed("The twin is stopping.")
        return pool

    def _create(
        self, configuration: FunctionConfiguration, initialization_type: str, provisioned_for: str | None
    ) -> ExecutionEnvironment:
        asset = self._images.find(configuration.image_uri)
        requirements = None if self._container_engine else self._images.requirements_path(asset)
        return ExecutionEnvironment(
            configuration=configuration,
            command=_handler_command(configuration, asset.default_command()),
            workspace=Workspace(
                task_root=asset.directory,
                scratch=Path(tempfile.mkdtemp(prefix=f"{configuration.name[:40]}-", dir=self._scratch)),
                bytecode=self._scratch / "bytecode",
                python_path=() if requirements is None else (requirements,),
            ),
            credentials=self._credentials(configuration.arn.account, configuration.arn.region),
            logs=self._logs,
            ledger=self._ledger,
            initialization_type=initialization_type,
            provisioned_for=provisioned_for,
            container_engine=self._container_engine,
            file_systems=self._file_systems,
        )

    # -- environments ahead of invocations ------------------------------------------------------------------------

    def provision(self, functions: Iterable[FunctionArn]) -> None:
        """Start the environments that provisioned concurrency asks for, and wait until they are initialised.

        What is no longer asked for is stopped. An alias that two versions share is provisioned for the one that has
        no weight of its own.

        Args:
            functions: The functions there are.

        Raises:
            InitFailed: The init phase of a function failed.
        """
        with self._provisioning:
            wanted: dict[tuple[_PoolKey, str], tuple[FunctionConfiguration, int]] = {}
            for arn in functions:
                deployed = self._lookup(arn)
                for qualifier, count in {} if deployed is None else deployed.provisioned_concurrency.items():
                    version = None if deployed is None else deployed.version_of(qualifier, lambda: 1.0)
                    configuration = None if deployed is None or version is None else deployed.configuration(version)
                    if configuration is not None and configuration.package_type == "Image":
                        wanted[_pool_key(configuration), qualifier] = (configuration, count)
            failures = [
                failure
                for (_, qualifier), (configuration, count) in wanted.items()
                if (failure := self._provision(configuration, qualifier, count)) is not None
            ]
            with self._lock:
                pools = dict(self._pools)
            for key, pool in pools.items():
                for qualifier in pool.provisioned():
                    if (key, qualifier) not in wanted:
                        pool.provision(qualifier, 0)
        if failures:
            raise InitFailed("\n".join(failures))

    def _provision(self, configuration: FunctionConfiguration, qualifier: str, count: int) -> str | None:
        pool = self._pool(configuration)
        failure = self._initialise_provisioned(configuration, pool, pool.provision(qualifier, count))
        if failure is not None:
            # Otherwise each invocation would start them anew, for nothing.
            pool.provision(qualifier, 0)
            return f"Provisioned concurrency of {configuration.name}:{qualifier}: {failure}"
        return None

    def _initialise_provisioned(
        self, configuration: FunctionConfiguration, pool: FunctionPool, environments: list[ExecutionEnvironment]
    ) -> str | None:
        """Initialise and give back; answers what the first failure was."""

        def initialise(environment: ExecutionEnvironment) -> str | None:
            try:
                outcome = environment.initialise("provisioned", _ahead_seconds(configuration))
            except NotServed as error:
                pool.discard(environment, life.STOPPED)
                return str(error)
            if outcome.status == "success":
                pool.release(environment)
                return None
            pool.discard(environment, life.INIT_FAILED)
            return _error_text(outcome)

        if not environments:
            return None
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as workers:
            failures = [failure for failure in workers.map(initialise, environments) if failure is not None]
        return failures[0] if failures else None

    def _refill(self, configuration: FunctionConfiguration, pool: FunctionPool) -> None:
        """Make up for provisioned environments that ended, as Lambda does."""
        with self._provisioning:
            self._initialise_provisioned(configuration, pool, pool.missing())

    def snapshot(self, arn: FunctionArn, config: Mapping[str, Any]) -> None:
        """Initialise a published version with SnapStart up to its snapshot, and keep that process.

        Args:
            arn: The function.
            config: The version, as `lambda.get_function_configuration` answers it.

        Raises:
            InitFailed: The init phase failed: there is no snapshot.
            NotServed: The twin cannot run this function.
        """
        configuration = FunctionConfiguration.from_lambda(config)
        if not configuration.snap_start or configuration.package_type != "Image":
            return
        failure = self._keep_spare(configuration, self._pool(configuration))
        if failure is not None:
            raise InitFailed(f"{arn.name} version {configuration.version}: {failure}")

    def _keep_spare(self, configuration: FunctionConfiguration, pool: FunctionPool) -> str | None:
        environment = pool.spare()
        if environment is None:
            return None
        try:
            outcome = environment.initialise("snapshot", _ahead_seconds(configuration))
        except BaseException:
            pool.spare_failed()
            raise
        if outcome.status == "success" and environment.waits_for_restore:
            pool.keep_spare(environment)
            return None
        pool.spare_failed()
        environment.stop(life.INIT_FAILED)
        return _error_text(outcome)

    def _in_background(self, work: Callable[[], object]) -> None:
        def run() -> None:
            with contextlib.suppress(NotServed):
                work()
            with self._lock:
                self._background.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="lambda-background", daemon=True)
        with self._lock:
            if self._closing.is_set():
                return
            self._background.add(thread)
        thread.start()

    def _note_utilization(self, pool: FunctionPool, arn: FunctionArn) -> None:
        utilization = None if arn.qualifier is None else pool.utilization(arn.qualifier)
        if utilization is not None:
            self._utilization.append(UtilizationSample(str(arn), self._clock.time(), utilization))

    def utilization(self, arn: FunctionArn | None = None, since: float = 0.0) -> list[UtilizationSample]:
        """The samples of provisioned concurrency from a time on the twin's clock on; of one alias or version."""
        name = None if arn is None else str(arn)
        return [sample for sample in list(self._utilization) if name in (None, sample.arn) and sample.at >= since]

    def retain(self, functions: Iterable[FunctionArn]) -> None:
        """Retire the environments of every version that is no longer deployed.

        Args:
            functions: The functions there are after a deployment.
        """
        live = set()
        for arn in functions:
            deployed = self._lookup(arn)
            for version in () if deployed is None else deployed.configurations:
                configuration = deployed.configuration(version) if deployed is not None else None
                if configuration is not None:
                    live.add(_pool_key(configuration))
        with self._lock:
            gone = [self._pools.pop(key) for key in list(self._pools) if key not in live]
        for pool in gone:
            pool.retire()

    def forget_lone_requests(self, function_name: str) -> None:
        """Stop the idle environments on demand of a function that have served one request and nothing else."""
        with self._lock:
            pools = [pool for key, pool in self._pools.items() if FunctionArn.parse(key[0]).name == function_name]
        for pool in pools:
            pool.forget(lambda environment: [span.kind for span in environment.record.record().busy] == [life.REQUEST])

    def environments(self) -> list[ExecutionEnvironment]:
        """Every execution environment there is at the moment."""
        with self._lock:
            pools = list(self._pools.values())
        return [environment for pool in pools for environment in pool.environments()]

    # -- records and end ----------------------------------------------------------------------------------------

    def records(self, function_name: str | None = None) -> list[InvocationRecord]:
        """The kept records, oldest first; of one function when it is named."""
        with self._lock:
            kept = list(self._records)
        return [record for record in kept if function_name in (None, record.function_name)]

    def environment_records(self, function_name: str | None = None) -> list[EnvironmentRecord]:
        """The lives of the environments there are and were, oldest first; of one function when it is named."""
        return self._ledger.records(function_name)

    def throttles(self, function_name: str | None = None) -> list[Throttle]:
        """The invocations that were refused, oldest first; of one function when it is named."""
        return self._ledger.throttles(function_name)

    def close(self) -> None:
        """Stop every environment and delete what they left."""
        self._closing.set()
        self._clock.wake()
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
            background = list(self._background)
        for pool in pools:
            pool.close()
        for thread in background:
            thread.join(timeout=5)
        self._janitor.join(timeout=5)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _expire_idle(self) -> None:
        interval = max(0.05, min(30.0, self._limits.idle_seconds / 4))
        while self._clock.wait_until(self._clock.time() + interval, self._closing.is_set):
            with self._lock:
                pools = list(self._pools.values())
            for pool in pools:
                pool.expire()


def _pool_key(configuration: FunctionConfiguration) -> _PoolKey:
    return (str(configuration.arn), configuration.version, configuration.revision)


def _ahead_seconds(configuration: FunctionConfiguration) -> float:
    return max(_AHEAD_INIT_SECONDS, float(configuration.timeout_seconds))


def _kind(payload: bytes) -> str:
    if WARMER_SOURCE.encode() not in payload:
        return life.OTHER
    try:
        event = json.loads(payload)
    except ValueError:
        return life.OTHER
    return life.PING if isinstance(event, dict) and event.get("source") == WARMER_SOURCE else life.OTHER


def _end_cause(environment: ExecutionEnvironment, outcome: Outcome | None) -> str | None:
    """Why an environment cannot serve again after this outcome; None when it can."""
    if outcome is None or outcome.status == "init_error":
        return life.INIT_FAILED
    if outcome.status == "timeout":
        return life.TIMED_OUT
    if outcome.status == "out_of_memory":
        return life.OUT_OF_MEMORY
    return None if environment.alive else life.EXITED


def _error_text(outcome: Outcome) -> str:
    try:
        error = json.loads(outcome.payload)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (KeyError, TypeError, ValueError):
        return outcome.error_type or "the runtime did not ask for events"


def _handler_command(configuration: FunctionConfiguration, default: tuple[str, ...]) -> tuple[str, ...]:
    """What the runtime is started with.

    Raises:
        NotServed: The function does not run under the Python runtime interface client.
    """
    entry_point = configuration.entry_point
    if entry_point and not any(name in part for part in entry_point for name in _RUNTIME_ENTRY_POINTS):
        raise NotServed(
            f"{configuration.name} has the entry point {list(entry_point)}: "
            "the twin runs Python handlers under awslambdaric."
        )
    command = configuration.command or default
    if not command:
        raise NotServed(f"{configuration.name} names no command: neither its ImageConfig nor a CMD of its Dockerfile.")
    return command


def _failure_of(outcome: Outcome) -> Outcome | None:
    """What an invocation answers after this init phase or restore; None when it went well."""
    if outcome.status == "success":
        return None
    status = outcome.status if outcome.status in ("timeout", "out_of_memory") else "init_error"
    return Outcome(status, outcome.payload, outcome.duration_ms, outcome.error_type)


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
