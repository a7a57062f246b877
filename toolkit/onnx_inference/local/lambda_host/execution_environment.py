"""One execution environment: a runtime process for one function version, from its init phase to its end."""

import shutil
import threading
import time
from dataclasses import dataclass, field

from onnx_inference.local.lambda_host.environment_records import EnvironmentLedger, EnvironmentLife
from onnx_inference.local.lambda_host.function_configuration import FunctionConfiguration
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.invocation import PAYLOAD_LIMIT_BYTES, NotServed
from onnx_inference.local.lambda_host.outcome import Outcome, exit_reason
from onnx_inference.local.lambda_host.runtime_api import RuntimeApi, RuntimeInvocation
from onnx_inference.local.lambda_host.runtime_process import RuntimeCommand, RuntimeProcess

#: Lambda gives the init phase ten seconds, then begins it again within the first invocation.
INIT_PHASE_SECONDS = 10.0
#: SnapStart: the restore with its hooks may take this long.
RESTORE_SECONDS = 10.0
#: How often the process is checked while it is waited for: whether it runs, and how much memory it uses.
_SAMPLING_SECONDS = 0.02
_LOG_TAIL_BYTES = 4096


@dataclass
class ExecutionEnvironment:
    """A runtime process for one function version. Serves one event at a time.

    Args:
        command: How the process is started, and of which version.
        logs: Where its output goes.
        ledger: Keeps the record of its life.
        provisioned_for: The alias or version whose provisioned concurrency it is part of.

    Attributes:
        last_used: The end of its last event, or of its init phase; seconds since 1970 on the twin's clock.
        record: Writes the record of its life.
    """

    command: RuntimeCommand
    logs: FunctionLogs
    ledger: EnvironmentLedger
    provisioned_for: str | None = None
    last_used: float = field(init=False)
    record: EnvironmentLife = field(init=False)
    _api: RuntimeApi | None = field(init=False, default=None)
    _process: RuntimeProcess | None = field(init=False, default=None)
    _request_id: str | None = field(init=False, default=None)
    _tail: list[str] = field(init=False, default_factory=list)
    _out_of_memory: bool = field(init=False, default=False)
    _stopped: bool = field(init=False, default=False)
    _life: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.last_used = self.ledger.clock.time()
        self.record = self.ledger.open(
            self.configuration.name,
            self.configuration.version,
            self.log_stream,
            self.command.initialization_type,
            self.provisioned_for,
        )

    @property
    def configuration(self) -> FunctionConfiguration:
        """The version that it runs."""
        return self.command.configuration

    @property
    def log_stream(self) -> str:
        """AWS_LAMBDA_LOG_STREAM_NAME."""
        return self.command.log_stream

    # -- life ---------------------------------------------------------------------------------------------------

    def initialise(self, request_id: str, limit_seconds: float) -> Outcome:
        """Start the process, and wait until it asks for its first event or, with SnapStart, to be restored.

        Args:
            request_id: The invocation that it is started for; it is named in errors.
            limit_seconds: How long it may take.

        Returns:
            An outcome with the status `success`, or the failure of the init phase.
        """
        self._spawn()
        assert self._api is not None
        started = time.perf_counter()
        ended = self._await(self._api.initialised, started + limit_seconds)
        duration = _milliseconds_since(started)
        if ended == "done" and self._api.init_error is not None:
            return Outcome.reported("init_error", self._api.init_error, duration)
        if ended == "done":
            self.last_used = self.ledger.clock.time()
            self.record.initialised(duration, ready=self._api.ready.is_set())
            return Outcome("success", b"", duration)
        return self._failure(ended, request_id, duration, limit_seconds)

    @property
    def waits_for_restore(self) -> bool:
        """Whether it is initialised up to its snapshot, and not restored yet."""
        return self._api is not None and self._api.initialised.is_set() and not self._api.ready.is_set()

    def restore(self, request_id: str) -> Outcome:
        """Continue from the snapshot, and wait until the hooks have run and the process asks for its first event.

        Args:
            request_id: The invocation that it is restored for; it is named in errors.

        Returns:
            An outcome with the status `success`, or the failure of the restore.
        """
        assert self._api is not None
        self.record.restoring()
        started = time.perf_counter()
        self._api.restore()
        ended = self._await(self._api.ready, started + RESTORE_SECONDS)
        duration = _milliseconds_since(started)
        if ended == "done" and self._api.restore_error is not None:
            return Outcome.reported("init_error", self._api.restore_error, duration)
        if ended == "done":
            self.record.restored(duration)
            return Outcome("success", b"", duration)
        if ended == "timeout":
            message = f"RequestId: {request_id} Error: Restore timed out after {RESTORE_SECONDS:.2f} seconds"
            return Outcome.failed("timeout", "SnapStartTimeoutException", message, duration)
        return self._failure(ended, request_id, duration, RESTORE_SECONDS)

    def invoke(self, request_id: str, payload: bytes, *, arn: str, trace_id: str, timeout_seconds: float) -> Outcome:
        """Give the process one event and wait for its answer.

        Args:
            request_id: The invocation's id, for logs and errors.
            payload: The event.
            arn: The invoked ARN, with the alias.
            trace_id: The X-Ray header.
            timeout_seconds: How long the function may take.
        """
        assert self._api is not None
        self._request_id = request_id
        self._tail = []
        deadline_ms = int((time.time() + timeout_seconds) * 1000)
        invocation = RuntimeInvocation(request_id, payload, deadline_ms, arn, trace_id)
        started = time.perf_counter()
        self._api.offer(invocation)
        ended = self._await(invocation.finished, started + timeout_seconds)
        duration = _milliseconds_since(started)
        self.last_used = self.ledger.clock.time()
        if ended != "done":
            return self._failure(ended, request_id, duration, self.configuration.timeout_seconds)
        if self._process is not None:
            self._process.note_memory()
        if invocation.error is not None:
            return Outcome.reported("error", invocation.error, duration)
        response = invocation.response or b""
        if len(response) > PAYLOAD_LIMIT_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT_BYTES} bytes)."
            return Outcome.failed("error", "Function.ResponseSizeTooLarge", message, duration)
        return Outcome("success", response, duration)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.exit_code is None

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def max_memory_used_mb(self) -> int:
        """The most memory that was resident since it started, in megabytes, and at most what the function has."""
        if self._out_of_memory or self._process is None:
            return self.configuration.memory_mb if self._out_of_memory else 0
        return min(self.configuration.memory_mb, self._process.max_memory_used_mb)

    @property
    def log_tail(self) -> str:
        """The end of the log of the current or last invocation, as long as Lambda returns it."""
        return "\n".join(self._tail)[-_LOG_TAIL_BYTES:]

    def stop(self, cause: str) -> None:
        """Kill the process and everything that it started, and delete its files. It cannot be started again.

        Args:
            cause: The cause, for the record.
        """
        with self._life:
            if self._stopped:
                return
            self._stopped = True
        self.record.ended(cause)
        if self._process is not None:
            self._process.kill()
        if self._api is not None:
            self._api.close()
        if self._process is not None:
            self._process.join_output()
        shutil.rmtree(self.command.workspace.scratch, ignore_errors=True)

    def _spawn(self) -> None:
        with self._life:
            if self._stopped:
                raise NotServed("The twin is stopping.")
            self._api = RuntimeApi()
            # Still under the lock: a stop at this moment has to find the process.
            self._process = RuntimeProcess(self.command, self._api.address, self._printed)

    def _printed(self, line: str) -> None:
        self._tail.append(line)
        self.logs.write(self.configuration.name, self.configuration.version, self.log_stream, self._request_id, line)

    # -- waiting ------------------------------------------------------------------------------------------------

    def _await(self, event: threading.Event, deadline: float) -> str:
        """Wait for the process. Returns `done`, `timeout`, `out_of_memory` or `exited`."""
        while True:
            remaining = deadline - time.perf_counter()
            if event.wait(min(_SAMPLING_SECONDS, max(remaining, 0.0))):
                return "done"
            if not self.alive:
                # The answer may have come in just before the end.
                return "done" if event.is_set() else "exited"
            if self._process is not None and self._process.note_memory():
                return "out_of_memory"
            if remaining <= 0:
                return "timeout"

    def _failure(self, ended: str, request_id: str, duration: float, limit: float) -> Outcome:
        prefix = f"RequestId: {request_id} Error: "
        if ended == "timeout":
            message = f"{prefix}Task timed out after {limit:.2f} seconds"
            return Outcome.failed("timeout", "Sandbox.Timedout", message, duration)
        if ended == "out_of_memory":
            self._out_of_memory = True
            message = f"{prefix}Runtime exited with error: signal: killed"
            return Outcome.failed("out_of_memory", "Runtime.OutOfMemory", message, duration)
        message = prefix + exit_reason(None if self._process is None else self._process.exit_code)
        return Outcome.failed("error", "Runtime.ExitError", message, duration)


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
