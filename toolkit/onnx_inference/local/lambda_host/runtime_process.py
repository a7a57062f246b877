"""The process behind an execution environment: `python -m awslambdaric` with what Lambda would give it."""

import contextlib
import importlib.util
import os
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.file_systems import FileSystems
from onnx_inference.local.lambda_host.function_configuration import FunctionConfiguration
from onnx_inference.local.lambda_host.invocation import NotServed
from onnx_inference.local.lambda_host.process_memory import MEGABYTE, process_memory

_RUNTIME_MODULE = "awslambdaric"


@dataclass(frozen=True)
class Workspace:
    """Where a process finds its code and keeps its files.

    Attributes:
        task_root: LAMBDA_TASK_ROOT and the first entry of the import path.
        scratch: A directory of its own, deleted with it; holds TMPDIR and HOME.
        bytecode: Where compiled modules are kept, so that nothing is written into the task root.
        python_path: Further entries of the import path.
    """

    task_root: Path
    scratch: Path
    bytecode: Path
    python_path: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RuntimeCommand:
    """How the runtime of a function is started.

    Attributes:
        configuration: The function version.
        handler: The handler, as the runtime takes it: `module.function`.
        workspace: The directories.
        credentials: The embedded cloud's endpoint and credentials.
        log_stream: AWS_LAMBDA_LOG_STREAM_NAME.
        initialization_type: AWS_LAMBDA_INITIALIZATION_TYPE.
        container_engine: Runs the function's image in a container, instead of its staged directory in a process.
        file_systems: The directories behind the function's mounts.
    """

    configuration: FunctionConfiguration
    handler: tuple[str, ...]
    workspace: Workspace
    credentials: LocalCredentials
    log_stream: str
    initialization_type: str
    container_engine: ContainerEngine | None = None
    file_systems: FileSystems | None = None

    @property
    def container_name(self) -> str:
        """The name of the container, when there is one."""
        return f"onnx-inference-{self.log_stream[-32:]}"

    def command_and_environment(self, runtime_api: str) -> tuple[list[str], dict[str, str]]:
        """The program with its arguments, and its environment variables.

        Args:
            runtime_api: AWS_LAMBDA_RUNTIME_API.

        Raises:
            NotServed: The function's file system cannot be mounted.
        """
        if self.container_engine is None:
            command = [sys.executable, "-m", _RUNTIME_MODULE, *self.handler]
            if self.file_systems is not None:
                command = self.file_systems.mounted(command, self.configuration.mounts)
            return command, self._process_environment(runtime_api)
        if self.configuration.mounts:
            raise NotServed(
                f"{self.configuration.name} has a file system, which the twin does not mount in containers."
            )
        command = self.container_engine.run(
            self.container_name,
            self.configuration.image_uri or "",
            environment=self._lambda_environment(runtime_api),
            memory_mb=self.configuration.memory_mb,
            command=self.handler,
        )
        return command, dict(os.environ)

    def _process_environment(self, runtime_api: str) -> dict[str, str]:
        """Lambda's variables, and those that the image would have."""
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
            "_HANDLER": self.handler[0],
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


class RuntimeProcess:
    """A started runtime, with everything that it starts itself.

    Args:
        command: How it is started.
        runtime_api: AWS_LAMBDA_RUNTIME_API.
        on_line: Called with each line that it prints, in a thread of its own.

    Raises:
        NotServed: The function's file system cannot be mounted.
    """

    def __init__(self, command: RuntimeCommand, runtime_api: str, on_line: Callable[[str], None]) -> None:
        self._command = command
        self._on_line = on_line
        self._peak = 0
        workspace = command.workspace
        for name in ("tmp", "home"):
            (workspace.scratch / name).mkdir(parents=True, exist_ok=True)
        arguments, environment = command.command_and_environment(runtime_api)
        self._process = subprocess.Popen(
            arguments,
            cwd=command.configuration.working_directory or workspace.task_root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read_output, name=f"logs-{self.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def max_memory_used_mb(self) -> int:
        """The most memory that was resident since it started, in megabytes."""
        return -(-self._peak // MEGABYTE)

    def note_memory(self) -> bool:
        """Look at its memory now; answers whether it is more than the function has."""
        memory = process_memory(self.pid)
        if memory is None:
            return False
        self._peak = max(self._peak, memory.peak)
        return memory.unreclaimable > self._command.configuration.memory_mb * MEGABYTE

    def kill(self) -> None:
        """Kill it with everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._command.container_engine is not None:
            self._command.container_engine.kill(self._command.container_name)

    def join_output(self) -> None:
        """Wait until everything that it printed was read."""
        self._reader.join(timeout=2)

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\r\n")
                if line:
                    self._on_line(line)


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
