"""Makes execution environments of deployed functions, and keeps their directories."""

import shutil
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.environment_records import EnvironmentLedger
from onnx_inference.local.lambda_host.execution_environment import ExecutionEnvironment
from onnx_inference.local.lambda_host.file_systems import AccessPointLookup, FileSystems
from onnx_inference.local.lambda_host.function_configuration import FunctionConfiguration
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.image_asset import ImageAssets
from onnx_inference.local.lambda_host.invocation import NotServed
from onnx_inference.local.lambda_host.runtime_process import RuntimeCommand, Workspace

#: The credentials of an account and region.
CredentialsOf = Callable[[str, str], LocalCredentials]

_RUNTIME_ENTRY_POINTS = ("python", "awslambdaric", "lambda-entrypoint.sh", "bootstrap")


class EnvironmentFactory:
    """Makes environments that are not yet initialised.

    Args:
        credentials: The embedded cloud's credentials, given to the functions.
        images: The staged images.
        logs: Where functions' output goes.
        ledger: Keeps the records of the environments.
        container_engine: Runs images in containers, instead of their staged directories in processes.
        access_point: Tells where an access point leads. Default: functions have no file systems.
    """

    def __init__(
        self,
        *,
        credentials: CredentialsOf,
        images: ImageAssets,
        logs: FunctionLogs,
        ledger: EnvironmentLedger,
        container_engine: ContainerEngine | None = None,
        access_point: AccessPointLookup | None = None,
    ) -> None:
        self._credentials = credentials
        self._images = images
        self._logs = logs
        self._ledger = ledger
        self._container_engine = container_engine
        self._scratch = Path(tempfile.mkdtemp(prefix="onnx-inference-lambda-"))
        self._file_systems = FileSystems(self._scratch / "file-systems", access_point) if access_point else None

    def create(
        self, configuration: FunctionConfiguration, initialization_type: str, provisioned_for: str | None
    ) -> ExecutionEnvironment:
        """Make one environment.

        Args:
            configuration: The function version.
            initialization_type: `on-demand`, `provisioned-concurrency` or `snap-start`.
            provisioned_for: The alias or version whose provisioned concurrency it is part of.

        Raises:
            NotServed: The twin cannot run this function.
        """
        asset = self._images.find(configuration.image_uri)
        requirements = None if self._container_engine else self._images.requirements_path(asset)
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        command = RuntimeCommand(
            configuration=configuration,
            handler=_handler(configuration, asset.default_command()),
            workspace=Workspace(
                task_root=asset.directory,
                scratch=Path(tempfile.mkdtemp(prefix=f"{configuration.name[:40]}-", dir=self._scratch)),
                bytecode=self._scratch / "bytecode",
                python_path=() if requirements is None else (requirements,),
            ),
            credentials=self._credentials(configuration.arn.account, configuration.arn.region),
            log_stream=f"{day}/[{configuration.version}]{uuid.uuid4().hex}",
            initialization_type=initialization_type,
            container_engine=self._container_engine,
            file_systems=self._file_systems,
        )
        return ExecutionEnvironment(command, self._logs, self._ledger, provisioned_for)

    def close(self) -> None:
        """Delete every directory, also those that stand for file systems."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def _handler(configuration: FunctionConfiguration, default: tuple[str, ...]) -> tuple[str, ...]:
    """What the runtime is started with: the command of the function, or of its image.

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
