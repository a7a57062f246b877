"""The Lambda service's data plane: resolves aliases, counts concurrency, runs invocations, keeps their records."""

import contextlib
import functools
import os
import secrets
import shutil
import tempfile
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.execution_environment import (
    INIT_PHASE_SECONDS,
    ExecutionEnvironment,
    Outcome,
    Workspace,
)
from onnx_inference.local.lambda_host.file_systems import AccessPointLookup, FileSystems
from onnx_inference.local.lambda_host.function_configuration import (
    DeployedFunction,
    FunctionArn,
    FunctionConfiguration,
)
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.function_pool import FunctionPool, PoolClosed
from onnx_inference.local.lambda_host.image_asset import ImageAssets
from onnx_inference.local.lambda_host.invocation import (
    PAYLOAD_LIMIT_BYTES,
    InvocationRecord,
    InvocationResult,
    NotServed,
    RequestEntityTooLarge,
    ResourceNotFound,
    TooManyRequests,
)

_KEPT_RECORDS = 10_000
#: Provisioned environments may take longer to initialise than those made on demand.
_PROVISIONED_INIT_SECONDS = 130.0
_RUNTIME_ENTRY_POINTS = ("python", "awslambdaric", "lambda-entrypoint.sh", "bootstrap")

#: Looks up what is deployed under an ARN at this moment.
FunctionLookup = Callable[[FunctionArn], DeployedFunction | None]
#: The credentials of an account and region.
CredentialsOf = Callable[[str, str], LocalCredentials]
_PoolKey = tuple[str, str, str]


@dataclass(frozen=True)
class HostLimits:
    """What the host allows itself on this machine.

    Attributes:
        environments_per_version: Beyond it invocations wait for an environment. Default: two per processor,
            at least four.
        idle_seconds: How long an unused environment is kept. Default: ten minutes.
    """

    environments_per_version: int = max(4, 2 * (os.cpu_count() or 1))
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
    ) -> None:
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

    def invoke(self, arn: FunctionArn, payload: bytes, *, trace_id: str | None = None) -> InvocationResult:
        """Run one synchronous invocation.

        Args:
            arn: The function, with the alias or version it is invoked by.
            payload: The event.
            trace_id: The X-Ray header; made up when there is none.

        Raises:
            ResourceNotFound: There is no such function, version or alias.
            RequestEntityTooLarge: The event is over 6 MB.
            TooManyRequests: The reserved concurrency is used up.
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
        with self._concurrency(arn, deployed.reserved_concurrency):
            return self._run(arn, configuration, payload, trace_id or _trace_id())

    def _run(
        self, arn: FunctionArn, configuration: FunctionConfiguration, payload: bytes, trace_id: str
    ) -> InvocationResult:
        request_id = str(uuid.uuid4())
        started_at, waiting_since = datetime.now(UTC), time.perf_counter()
        pool, environment, cold = self._acquire(configuration)
        queued_ms = (time.perf_counter() - waiting_since) * 1000
        healthy = False
        try:
            init_ms: float | None = None
            budget = float(configuration.timeout_seconds)
            spent_ms = 0.0
            outcome = None
            if cold:
                first = environment.initialise(request_id, INIT_PHASE_SECONDS)
                init_ms = first.duration_ms
                if first.status != "success":
                    # As Lambda does: begin again, now within the invocation and its timeout.
                    pool, environment = self._replace(pool, environment, configuration)
                    again = environment.initialise(request_id, budget)
                    init_ms, spent_ms = None, again.duration_ms
                    budget -= spent_ms / 1000
                    if again.status != "success":
                        outcome = _as_init_failure(again)
            if outcome is None:
                served = environment.invoke(
                    request_id, payload, arn=str(arn), trace_id=trace_id, timeout_seconds=max(budget, 0.001)
                )
                outcome = served
                healthy = environment.alive and served.status in ("success", "error")
        finally:
            if healthy:
                pool.release(environment)
            else:
                pool.discard(environment)
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
                raise TooManyRequests("Rate Exceeded.")
            self._in_flight[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight[key] -= 1

    # -- environments -------------------------------------------------------------------------------------------

    def _acquire(self, configuration: FunctionConfiguration) -> tuple[FunctionPool, ExecutionEnvironment, bool]:
        while True:
            pool = self._pool(configuration)
            try:
                environment, cold = pool.acquire()
            except PoolClosed:
                if self._closing.is_set():
                    raise NotServed("The twin is stopping.") from None
                continue
            return pool, environment, cold

    def _replace(
        self, pool: FunctionPool, environment: ExecutionEnvironment, configuration: FunctionConfiguration
    ) -> tuple[FunctionPool, ExecutionEnvironment]:
        """A new environment in place of one whose init phase failed."""
        pool.discard(environment)
        while True:
            pool, environment, cold = self._acquire(configuration)
            if cold:
                return pool, environment
            pool.release(environment)

    def _pool(self, configuration: FunctionConfiguration) -> FunctionPool:
        key = (str(configuration.arn), configuration.version, configuration.revision)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None and not self._closing.is_set():
                pool = FunctionPool(
                    lambda: self._create(configuration),
                    limit=self._limits.environments_per_version,
                    idle_seconds=self._limits.idle_seconds,
                )
                self._pools[key] = pool
        if pool is None:
            raise NotServed("The twin is stopping.")
        return pool

    def _create(
        self, configuration: FunctionConfiguration, initialization_type: str = "on-demand"
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
            initialization_type=initialization_type,
            container_engine=self._container_engine,
            file_systems=self._file_systems,
        )

    def provision(self, functions: Iterable[FunctionArn]) -> None:
        """Start the environments that provisioned concurrency asks for, and wait until they are initialised.

        Args:
            functions: The functions there are after a deployment.
        """
        for arn in functions:
            deployed = self._lookup(arn)
            for qualifier, count in {} if deployed is None else deployed.provisioned_concurrency.items():
                version = None if deployed is None else deployed.version_of(qualifier, lambda: 1.0)
                configuration = None if deployed is None or version is None else deployed.configuration(version)
                if configuration is not None and configuration.package_type == "Image":
                    self._provision(configuration, count)

    def _provision(self, configuration: FunctionConfiguration, count: int) -> None:
        pool = self._pool(configuration)
        create = functools.partial(self._create, configuration, "provisioned-concurrency")
        for environment in pool.provision(count, create):
            outcome = environment.initialise("provisioned", _PROVISIONED_INIT_SECONDS)
            if outcome.status == "success":
                pool.release(environment)
            else:
                pool.discard(environment)

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
                    live.add((str(configuration.arn), configuration.version, configuration.revision))
        with self._lock:
            gone = [self._pools.pop(key) for key in list(self._pools) if key not in live]
        for pool in gone:
            pool.retire()

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

    def close(self) -> None:
        """Stop every environment and delete what they left."""
        self._closing.set()
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        self._janitor.join(timeout=5)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _expire_idle(self) -> None:
        interval = max(0.05, min(30.0, self._limits.idle_seconds / 4))
        while not self._closing.wait(interval):
            with self._lock:
                pools = list(self._pools.values())
            for pool in pools:
                pool.expire()


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


def _as_init_failure(outcome: Outcome) -> Outcome:
    status = outcome.status if outcome.status in ("timeout", "out_of_memory") else "init_error"
    return Outcome(status, outcome.payload, outcome.duration_ms, outcome.error_type)


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
