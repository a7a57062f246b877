"""The Lambda service's data plane: resolves aliases, counts concurrency, runs invocations, keeps their records."""

import contextlib
import json
import os
import secrets
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.clock import Clock
from onnx_inference.local.lambda_host import environment_records as life
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.environment_factory import CredentialsOf, EnvironmentFactory
from onnx_inference.local.lambda_host.environment_records import EnvironmentLedger, EnvironmentRecord, Throttle
from onnx_inference.local.lambda_host.execution_environment import INIT_PHASE_SECONDS, ExecutionEnvironment
from onnx_inference.local.lambda_host.file_systems import AccessPointLookup
from onnx_inference.local.lambda_host.function_configuration import DeployedFunction, FunctionArn, FunctionConfiguration
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.function_pool import FunctionPool
from onnx_inference.local.lambda_host.function_pools import FunctionPools, pool_key
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
from onnx_inference.local.lambda_host.outcome import Outcome
from onnx_inference.local.lambda_host.pre_initialisation import PreInitialisation, init_seconds

#: The `source` of the warmer's events; `tests/contract` holds it equal to that of the constructs and of the handler.
WARMER_SOURCE = "cdk-onnx-inference.warmer"
_KEPT_RECORDS = 10_000

#: Looks up what is deployed under an ARN at this moment.
FunctionLookup = Callable[[FunctionArn], DeployedFunction | None]


@dataclass(frozen=True)
class UtilizationSample:
    """The share of the provisioned concurrency that was in use when an invocation began.

    `arn` is the function's, with the alias or version; `at` is the twin clock's time in seconds.
    """

    arn: str
    at: float
    utilization: float


@dataclass(frozen=True)
class HostLimits:
    """Limits of the Lambda host on this machine.

    Attributes:
        environments_per_version: How many environments a function version may have, without provisioned ones. When all
            are busy, invocations wait for one; Lambda has no such limit. Default: two per processor, at least ten.
        idle_seconds: How long an unused environment is kept, in seconds of the twin's clock. AWS does not document how
            long it keeps them. Default: ten minutes.
    """

    environments_per_version: int = max(10, 2 * (os.cpu_count() or 1))
    idle_seconds: float = 600.0


@dataclass
class _Start:
    """How an invocation got its environment.

    Attributes:
        pool: The environment's pool.
        environment: The environment; another one after its first init phase failed.
        cold: It was made or restored for this invocation.
        queued_ms: How long the invocation waited for it.
        init_ms: The init phase, when Lambda would report one.
        restore_ms: The restore from a snapshot.
        spent_ms: What an init phase within the invocation took of the function's timeout.
        failure: What the invocation answers when the start failed.
    """

    pool: FunctionPool
    environment: ExecutionEnvironment
    cold: bool
    queued_ms: float = 0.0
    init_ms: float | None = None
    restore_ms: float | None = None
    spent_ms: float = 0.0
    failure: Outcome | None = None


class LambdaHost:
    """Runs the invocations of every deployed image function.

    Args:
        lookup: Tells what is deployed; asked at every invocation, so that a moved alias serves the next one.
        credentials: The embedded cloud's credentials, given to the functions.
        images: The staged images.
        logs: Where functions' output goes.
        run_zip: Runs a function that is not an image. Default: such functions are not served.
        limits: Limits on this machine.
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
        container_engine: ContainerEngine | None = None,
        access_point: AccessPointLookup | None = None,
        clock: Clock | None = None,
    ) -> None:
        limits = limits or HostLimits()
        self._lookup = lookup
        self._run_zip = run_zip
        self._clock = clock or Clock()
        self._ledger = EnvironmentLedger(self._clock)
        self._factory = EnvironmentFactory(
            credentials=credentials,
            images=images,
            logs=logs,
            ledger=self._ledger,
            container_engine=container_engine,
            access_point=access_point,
        )
        self._pools = FunctionPools(
            self._factory.create,
            limit=limits.environments_per_version,
            idle_seconds=limits.idle_seconds,
            clock=self._clock,
        )
        self._pre_initialisation = PreInitialisation(self._pools)
        self._in_flight: Counter[FunctionArn] = Counter()
        self._records: deque[InvocationRecord] = deque(maxlen=_KEPT_RECORDS)
        self._utilization: deque[UtilizationSample] = deque(maxlen=_KEPT_RECORDS)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop every environment and delete what they left."""
        self._pools.close()
        self._pre_initialisation.join()
        self._factory.close()

    # -- invoking -----------------------------------------------------------------------------------------------

    def invoke(
        self, arn: FunctionArn, payload: bytes, *, trace_id: str | None = None, kind: str | None = None
    ) -> InvocationResult:
        """Run one synchronous invocation.

        Args:
            arn: The function, with the alias or version it is invoked by.
            payload: The event.
            trace_id: The X-Ray header. Default: a new one.
            kind: The kind of event for the records. Default: `ping` for the warmer's events, else `other`.

        Raises:
            ResourceNotFound: There is no such function, version or alias.
            RequestEntityTooLarge: The event is over 6 MB.
            TooManyRequests: The reserved concurrency is used up.
            SnapStartNotReady: There is no snapshot of the version.
            NotServed: The twin cannot run this function.
        """
        deployed = self._lookup(arn)
        configuration = None if deployed is None else deployed.route(arn.qualifier)
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
        pool, acquired = self._pools.acquire(configuration, arn.qualifier)
        start = _Start(pool, acquired.environment, acquired.fresh)
        self._note_utilization(pool, arn)
        outcome: Outcome | None = None
        try:
            if start.cold and pool.snap_start:
                self._restore(start, configuration, request_id, waiting_since)
            else:
                start.queued_ms = _milliseconds_since(waiting_since)
                if start.cold:
                    self._initialise(start, configuration, request_id)
            outcome = start.failure
            if outcome is None:
                environment = start.environment
                environment.record.serves(request_id, kind, cold=start.cold)
                remaining = configuration.timeout_seconds - start.spent_ms / 1000
                outcome = environment.invoke(
                    request_id, payload, arn=str(arn), trace_id=trace_id, timeout_seconds=max(remaining, 0.001)
                )
                environment.record.served(outcome.duration_ms, outcome.status)
        finally:
            self._give_back(start, configuration, outcome)
        record = InvocationRecord(
            request_id=request_id,
            invoked_function_arn=str(arn),
            function_name=configuration.name,
            function_version=configuration.version,
            started_at=started_at,
            cold_start=start.cold,
            init_duration_ms=start.init_ms,
            duration_ms=outcome.duration_ms + (start.spent_ms if start.failure is None else 0.0),
            queued_ms=start.queued_ms,
            memory_size_mb=configuration.memory_mb,
            max_memory_used_mb=start.environment.max_memory_used_mb,
            status=outcome.status,
            error_type=outcome.error_type,
            log_stream=start.environment.log_stream,
            kind=kind,
            restore_duration_ms=start.restore_ms,
            spillover=acquired.spillover,
        )
        with self._lock:
            self._records.append(record)
        error = None if outcome.status == "success" else "Unhandled"
        return InvocationResult(outcome.payload, error, record, start.environment.log_tail)

    def _initialise(self, start: _Start, configuration: FunctionConfiguration, request_id: str) -> None:
        first = start.environment.initialise(request_id, INIT_PHASE_SECONDS)
        if first.status == "success":
            start.init_ms = first.duration_ms
            return
        # As Lambda does: begin again, now within the invocation and its timeout.
        start.pool, start.environment = self._pools.replace(start.pool, start.environment, configuration)
        again = start.environment.initialise(request_id, float(configuration.timeout_seconds))
        start.spent_ms = again.duration_ms
        start.failure = again.failure_to_start

    def _restore(
        self, start: _Start, configuration: FunctionConfiguration, request_id: str, waiting_since: float
    ) -> None:
        # Lambda restores any number of environments from one snapshot. Here each needs a process of its own, and the
        # time to make another one counts as waiting.
        if not start.environment.waits_for_restore:
            made = start.environment.initialise(request_id, init_seconds(configuration))
            start.failure = made.failure_to_start
        start.queued_ms = _milliseconds_since(waiting_since)
        if start.failure is None:
            restored = start.environment.restore(request_id)
            start.restore_ms, start.failure = restored.duration_ms, restored.failure_to_start
        self._pre_initialisation.keep_spare(configuration, start.pool)

    def _give_back(self, start: _Start, configuration: FunctionConfiguration, outcome: Outcome | None) -> None:
        cause = _end_cause(start.environment, outcome)
        if cause is None:
            start.pool.release(start.environment)
            return
        start.pool.discard(start.environment, cause)
        if start.environment.provisioned_for is not None:
            self._pre_initialisation.refill(configuration, start.pool)

    @contextlib.contextmanager
    def _concurrency(self, arn: FunctionArn, reserved: int | None) -> Iterator[None]:
        """Count the invocation against the function's reserved concurrency, which all its versions share."""
        function = FunctionArn(arn.account, arn.region, arn.name)
        with self._lock:
            if reserved is not None and self._in_flight[function] >= reserved:
                self._ledger.throttled(arn.name, arn.qualifier)
                raise TooManyRequests("Rate Exceeded.")
            self._in_flight[function] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight[function] -= 1

    def _note_utilization(self, pool: FunctionPool, arn: FunctionArn) -> None:
        utilization = None if arn.qualifier is None else pool.utilization(arn.qualifier)
        if utilization is not None:
            self._utilization.append(UtilizationSample(str(arn), self._clock.time(), utilization))

    # -- environments -------------------------------------------------------------------------------------------

    def provision(self, functions: Iterable[FunctionArn]) -> None:
        """Start the environments that provisioned concurrency asks for, and wait until they are initialised.

        Environments that it no longer asks for are stopped. An alias that routes to two versions is provisioned for its
        primary one only.

        Args:
            functions: Every deployed function.

        Raises:
            InitFailed: The init phase of a function failed.
        """

        def look_up() -> dict[tuple[FunctionConfiguration, str], int]:
            wanted = {}
            for deployed in self._deployed(functions):
                for qualifier, count in deployed.provisioned_concurrency.items():
                    configuration = deployed.primary_configuration(qualifier)
                    if configuration is not None and configuration.package_type == "Image":
                        wanted[configuration, qualifier] = count
            return wanted

        self._pre_initialisation.provision(look_up)

    def snapshot(self, config: Mapping[str, Any]) -> None:
        """Initialise a published version with SnapStart up to its snapshot, and keep that process.

        Args:
            config: The version, as `lambda.get_function_configuration` answers it.

        Raises:
            InitFailed: The init phase failed: there is no snapshot.
            NotServed: The twin cannot run this function.
        """
        configuration = FunctionConfiguration.from_lambda(config)
        if configuration.snap_start and configuration.package_type == "Image":
            self._pre_initialisation.snapshot(configuration)

    def retain(self, functions: Iterable[FunctionArn]) -> None:
        """Retire the environments of every version that is no longer deployed.

        Args:
            functions: Every function that is deployed now.
        """
        self._pools.retain(
            pool_key(configuration)
            for deployed in self._deployed(functions)
            for version in deployed.configurations
            if (configuration := deployed.configuration(version)) is not None
        )

    def _deployed(self, functions: Iterable[FunctionArn]) -> list[DeployedFunction]:
        return [deployed for arn in functions if (deployed := self._lookup(arn)) is not None]

    def forget_lone_requests(self, function_name: str) -> None:
        """Stop a function's idle environments on demand that have served one request and nothing else."""

        def served_one_request(environment: ExecutionEnvironment) -> bool:
            return [span.kind for span in environment.record.record().busy] == [life.REQUEST]

        for (arn, _, _), pool in self._pools.all().items():
            if FunctionArn.parse(arn).name == function_name:
                pool.forget(served_one_request)

    def environments(self) -> list[ExecutionEnvironment]:
        """Every execution environment there is at the moment."""
        return [environment for pool in self._pools.all().values() for environment in pool.environments()]

    # -- records ------------------------------------------------------------------------------------------------

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

    def utilization(self, arn: FunctionArn | None = None, since: float = 0.0) -> list[UtilizationSample]:
        """The samples of provisioned concurrency.

        Args:
            arn: An alias or version. Default: all of them.
            since: The earliest time on the twin's clock, in seconds since 1970.
        """
        name = None if arn is None else str(arn)
        return [sample for sample in list(self._utilization) if name in (None, sample.arn) and sample.at >= since]


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


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
