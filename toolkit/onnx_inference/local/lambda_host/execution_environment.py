"""One execution environment: a real `python -m awslambdaric` process with what Lambda would give it."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host import environment_records as life
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.environment_records import EnvironmentLedger, EnvironmentLife
from onnx_inference.local.lambda_host.file_systems import FileSystems
from onnx_inference.local.lambda_host.function_configuration import FunctionConfiguration
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.invocation import PAYLOAD_LIMIT_BYTES, NotServed
from onnx_inference.local.lambda_host.process_memory import MEGABYTE, process_memory
from onnx_inference.local.lambda_host.runtime_api import RuntimeApi, RuntimeInvocation

#: Lambda gives the init phase ten seconds, then begins it again within the first invocation.
INIT_PHASE_SECONDS = 10.0
#: SnapStart: the restore with its hooks may take this long.
RESTORE_SECONDS = 10.0
#: How often memory and life of the process are looked at while something is awaited from it.
_SAMPLING_SECONDS = 0.02
_LOG_TAIL_BYTES = 4096
_RUNTIME_MODULE = "awslambdaric"


@dataclass(frozen=True)
class Workspace:
    """Where an execution environment finds its code and keeps its files.

    Attributes:
        task_root: LAMBDA_TASK_ROOT and the first entry of the import path.
        python_path: Further entries of the import path.
        scratch: A directory of its own, deleted with it; holds TMPDIR and HOME.
        bytecode: Where compiled modules are kept, so that nothing is written into the task root.
    """

    task_root: Path
    scratch: Path
    bytecode: Path
    python_path: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of one event, or of the init phase.

    `status` is as in `InvocationRecord`; `payload` the response or the error document.
    """

    status: str
    payload: bytes
    duration_ms: float
    error_type: str | None = None


@dataclass
class ExecutionEnvironment:
    """A runtime process for one function version. Serves one event at a time.

    Args:
        configuration: The version it runs.
        command: The handler, as the runtime takes it: `module.function`.
        workspace: Its directories.
        credentials: The embedded cloud's endpoint and credentials.
        logs: Where its output goes.
        ledger: Keeps the record of its life.
        initialization_type: AWS_LAMBDA_INITIALIZATION_TYPE.
        provisioned_for: The alias or version whose provisioned concurrency it is part of.
        container_engine: Runs the function's image in a container, instead of its staged directory in a process.
        file_systems: The directories behind the function's mounts.
    """

    configuration: FunctionConfiguration
    command: tuple[str, ...]
    workspace: Workspace
    credentials: LocalCredentials
    logs: FunctionLogs
    ledger: EnvironmentLedger
    initialization_type: str = life.ON_DEMAND
    provisioned_for: str | None = None
    container_engine: ContainerEngine | None = None
    file_systems: FileSystems | None = None
    log_stream: str = field(init=False)
    last_used: float = field(init=False)
    record: EnvironmentLife = field(init=False)
    _api: RuntimeApi | None = field(init=False, default=None)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _reader: threading.Thread | None = field(init=False, default=None)
    _request_id: str | None = field(init=False, default=None)
    _tail: list[str] = field(init=False, default_factory=list)
    _peak: int = field(init=False, default=0)
    _stopped: bool = field(init=False, default=False)
    _life: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        self.log_stream = f"{day}/[{self.configuration.version}]{uuid.uuid4().hex}"
        self.last_used = self.ledger.clock.time()
        self.record = self.ledger.open(
            self.configuration.name,
            self.configuration.version,
            self.log_stream,
            self.initialization_type,
            self.provisioned_for,
        )

    # -- life ---------------------------------------------------------------------------------------------------

    def initialise(self, request_id: str, limit_seconds: float) -> Outcome:
        """Start the process and wait until it asks for its first event, or with SnapStart to be restored.

        Args:
            request_id: The invocation that it is started for; named in errors.
            limit_seconds: How long it may take.

        Returns:
            An outcome whose status is `success`, or what the init phase failed with.
        """
        self._spawn()
        assert self._api is not None
        started = time.perf_counter()
        ended = self._await(self._api.initialised, started + limit_seconds)
        duration = _milliseconds_since(started)
        if ended == "done" and self._api.init_error is not None:
            error_type = _error_type(self._api.init_error)
            return Outcome("init_error", self._api.init_error, duration, error_type)
        if ended == "done":
            self.last_used = self.ledger.clock.time()
            self.record.initialised(duration, ready=self._api.ready.is_set())
            return Outcome("success", b"", duration)
        return self._failure(ended, request_id, duration, limit_seconds)

    @property
    def waits_for_restore(self) -> bool:
        """Whether it was initialised up to its snapshot, and no further."""
        return self._api is not None and self._api.initialised.is_set() and not self._api.ready.is_set()

    def restore(self, request_id: str) -> Outcome:
        """Go on from the snapshot, and wait until the hooks have run and the first event is asked for.

        Args:
            request_id: The invocation that it is restored for; named in errors.

        Returns:
            An outcome whose status is `success`, or what the restore failed with.
        """
        assert self._api is not None
        self.record.restoring()
        started = time.perf_counter()
        self._api.restore()
        ended = self._await(self._api.ready, started + RESTORE_SECONDS)
        duration = _milliseconds_since(started)
        if ended == "done" and self._api.restore_error is not None:
            return Outcome("init_error", self._api.restore_error, duration, _error_type(self._api.restore_error))
        if ended == "done":
            self.record.restored(duration)
            return Outcome("success", b"", duration)
        if ended == "timeout":
            message = f"RequestId: {request_id} Error: Restore timed out after {RESTORE_SECONDS:.2f} seconds"
            return _error_outcome("timeout", "SnapStartTimeoutException", message, duration)
        return self._failure(ended, request_id, duration, RESTORE_SECONDS)

    def invoke(self, request_id: str, payload: bytes, *, arn: str, trace_id: str, timeout_seconds: float) -> Outcome:
        """Hand the process one event and wait for its answer; kill it when the answer is late.

        Args:
            request_id: Names the invocation in logs and errors.
            payload: The event.
            arn: The ARN it was invoked by, with the alias.
            trace_id: The X-Ray header.
            timeout_seconds: What the function may take.
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
        self._note_memory()
        if invocation.error is not None:
            return Outcome("error", invocation.error, duration, _error_type(invocation.error))
        response = invocation.response or b""
        if len(response) > PAYLOAD_LIMIT_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT_BYTES} bytes)."
            return _error_outcome("error", "Function.ResponseSizeTooLarge", message, duration)
        return Outcome("success", response, duration)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def max_memory_used_mb(self) -> int:
        """The most memory that was resident since it started, at most what the function has."""
        return min(self.configuration.memory_mb, -(-self._peak // MEGABYTE))

    @property
    def log_tail(self) -> str:
        """The end of what the current or last invocation printed, as much as Lambda returns."""
        return "\n".join(self._tail)[-_LOG_TAIL_BYTES:]

    def stop(self, cause: str) -> None:
        """Kill the process with everything it started, and delete its files. It cannot be started again.

        Args:
            cause: Why, for the record.
        """
        with self._life:
            if self._stopped:
                return
            self._stopped = True
        self.record.ended(cause)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self.container_engine is not None:
                self.container_engine.kill(self._container_name)
        if self._api is not None:
            self._api.close()
        if self._reader is not None:
            self._reader.join(timeout=2)
        shutil.rmtree(self.workspace.scratch, ignore_errors=True)

    # -- the process --------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        with self._life:
            if self._stopped:
                raise NotServed("The twin is stopping.")
            self._start_process()
            assert self._process is not None
            # Still under the lock: a stop at this moment joins the thread.
            self._reader = threading.Thread(target=self._read_output, name=f"logs-{self._process.pid}", daemon=True)
            self._reader.start()

    def _start_process(self) -> None:
        for name in ("tmp", "home"):
            (self.workspace.scratch / name).mkdir(parents=True, exist_ok=True)
        self._api = RuntimeApi()
        command, environment = self._process_command(self._api.address)
        self._process = subprocess.Popen(
            command,
            cwd=self.configuration.working_directory or self.workspace.task_root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    def _process_command(self, runtime_api: str) -> tuple[list[str], dict[str, str]]:
        """What to start, and in which environment."""
        if self.container_engine is None:
            command = [sys.executable, "-m", _RUNTIME_MODULE, *self.command]
            if self.file_systems is not None:
                command = self.file_systems.mounted(command, self.configuration.mounts)
            return command, self._environment(runtime_api)
        if self.configuration.mounts:
            raise NotServed(
                f"{self.configuration.name} has a file system, which the twin does not mount in containers."
            )
        command = self.container_engine.run(
            self._container_name,
            self.configuration.image_uri or "",
            environment=self._lambda_environment(runtime_api),
            memory_mb=self.configuration.memory_mb,
            command=self.command,
        )
        return command, dict(os.environ)

    @property
    def _container_name(self) -> str:
        return f"onnx-inference-{self.log_stream[-32:]}"

    def _environment(self, runtime_api: str) -> dict[str, str]:
        """A process's environment: Lambda's, and what the image would bring."""
        workspace = self.workspace
        inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        paths = [workspace.task_root, *workspace.python_path]
        return {
            **inherited,
            "LANG": "en_US.UTF-8",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONPYCACHEPREFIX": str(workspace.bytecode),
            "PYTHONUSERBASE": site.getuserbase(),
            **self._lambda_environment(runtime_api),
            "LAMBDA_TASK_ROOT": str(workspace.task_root),
            "LAMBDA_RUNTIME_DIR": str(workspace.task_root),
            "_HANDLER": self.command[0],
            "TZ": ":UTC",
            "TMPDIR": str(workspace.scratch / "tmp"),
            "HOME": str(workspace.scratch / "home"),
        }

    def _lambda_environment(self, runtime_api: str) -> dict[str, str]:
        """The function's own variables and those that Lambda sets."""
        configuration = self.configuration
        return {
            **self.credentials.endpoints(),
            **configuration.environment,
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "AWS_LAMBDA_FUNCTION_NAME": configuration.name,
            "AWS_LAMBDA_FUNCTION_VERSION": configuration.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration.memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": configuration.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": self.initialization_type,
            "AWS_REGION": configuration.arn.region,
            "AWS_DEFAULT_REGION": configuration.arn.region,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            "AWS_SESSION_TOKEN": "local",
        }

    def _read_output(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        name, version = self.configuration.name, self.configuration.version
        with self._process.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\r\n")
                if line:
                    self._tail.append(line)
                    self.logs.write(name, version, self.log_stream, self._request_id, line)

    # -- waiting ------------------------------------------------------------------------------------------------

    def _await(self, event: threading.Event, deadline: float) -> str:
        """Wait for the process: `done`, or why not: `timeout`, `out_of_memory`, `exited`."""
        while True:
            remaining = deadline - time.perf_counter()
            if event.wait(min(_SAMPLING_SECONDS, max(remaining, 0.0))):
                return "done"
            if not self.alive:
                # The answer may have come in just before the end.
                return "done" if event.is_set() else "exited"
            if self._note_memory() > self.configuration.memory_mb * MEGABYTE:
                return "out_of_memory"
            if remaining <= 0:
                return "timeout"

    def _note_memory(self) -> int:
        memory = None if self._process is None else process_memory(self._process.pid)
        if memory is None:
            return 0
        self._peak = max(self._peak, memory.peak)
        return memory.unreclaimable

    def _failure(self, ended: str, request_id: str, duration: float, limit: float) -> Outcome:
        prefix = f"RequestId: {request_id} Error: "
        if ended == "timeout":
            message = f"{prefix}Task timed out after {limit:.2f} seconds"
            return _error_outcome("timeout", "Sandbox.Timedout", message, duration)
        if ended == "out_of_memory":
            self._peak = self.configuration.memory_mb * MEGABYTE
            message = f"{prefix}Runtime exited with error: signal: killed"
            return _error_outcome("out_of_memory", "Runtime.OutOfMemory", message, duration)
        message = prefix + _exit_reason(self._process)
        return _error_outcome("error", "Runtime.ExitError", message, duration)


def require_runtime_client() -> None:
    """Check that functions can be run on this machine.

    Raises:
        NotServed: The Lambda runtime interface client is not installed.
    """
    if importlib.util.find_spec(_RUNTIME_MODULE) is None:
        raise NotServed(
            f"The Lambda runtime interface client ({_RUNTIME_MODULE}) is not installed. "
            "Install it with: pip install 'cdk-onnx-inference[local]'. It exists for Linux only: on another system run "
            "this command in a Linux container or virtual machine."
        )


def _exit_reason(process: subprocess.Popen[bytes] | None) -> str:
    code = None if process is None else process.poll()
    if not code:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    name = signal.Signals(-code).name
    return "Runtime exited with error: signal: " + ("killed" if name == "SIGKILL" else name)


def _error_outcome(status: str, error_type: str, message: str, duration: float) -> Outcome:
    payload = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return Outcome(status, payload, duration, error_type)


def _error_type(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["errorType"])
    except (KeyError, TypeError, ValueError):
        return "Unhandled"


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
