"""The real CDK CLI against the embedded cloud: bootstrap, deploy, destroy."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_inference.local.child_process import run_to_end
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.deployment.synthesis import node_executable


class CdkCliError(RuntimeError):
    """The CDK CLI is missing or failed; the message carries what it printed."""


@dataclass(frozen=True)
class CliRun:
    """One run of the CLI that succeeded, with what it printed."""

    arguments: tuple[str, ...]
    output: str


class CdkCli:
    """The `cdk` of the project's `node_modules`, or of the PATH.

    Args:
        directory: The project's directory. `node_modules` is searched here and in the directories above.
        credentials: The embedded cloud's credentials.
        environment: The environment variables to run it with.
        docker: The program that it runs in place of `docker`. Default: none, because the images exist already.

    Raises:
        CdkCliError: There is no `cdk`.
    """

    def __init__(
        self, directory: Path, credentials: LocalCredentials, environment: Mapping[str, str], docker: Path | None = None
    ) -> None:
        self._directory = directory
        self._docker = {} if docker is None else {"CDK_DOCKER": str(docker)}
        self._credentials = credentials
        self._environment = environment
        self._executable = _find(directory, environment)

    def bootstrap(self, assembly: Path) -> CliRun:
        """`cdk bootstrap` for the credentials' account and region. The assembly keeps it from running the app."""
        return self._run(
            "bootstrap", "--app", str(assembly), f"aws://{self._credentials.account}/{self._credentials.region}"
        )

    def deploy(self, assembly: Path, stacks: Sequence[str]) -> CliRun:
        """`cdk deploy` of the named stacks of an assembly."""
        return self._run("deploy", "--app", str(assembly), "--require-approval", "never", *stacks)

    def destroy(self, assembly: Path, stacks: Sequence[str]) -> CliRun:
        """`cdk destroy` of the named stacks of an assembly."""
        return self._run("destroy", "--app", str(assembly), "--force", *stacks)

    def _run(self, *arguments: str) -> CliRun:
        node = node_executable(self._environment)
        command = [self._executable, *arguments, "--ci", "--no-color"]
        if node is not None:
            command = [node, str(Path(self._executable).resolve()), *command[1:]]
        done = run_to_end(
            command,
            directory=self._directory,
            environment={
                **self._environment,
                **self._credentials.environment(),
                **self._docker,
                "CDK_DISABLE_CLI_TELEMETRY": "true",
                "CI": "1",
                "NO_COLOR": "1",
            },
        )
        if done.returncode != 0:
            raise CdkCliError(f"cdk {' '.join(arguments)} failed with exit status {done.returncode}:\n{done.stdout}")
        return CliRun(arguments, done.stdout)


def _find(directory: Path, environment: Mapping[str, str]) -> str:
    for place in (directory, *directory.parents):
        candidate = place / "node_modules" / ".bin" / "cdk"
        if candidate.exists():
            return str(candidate)
    found = shutil.which("cdk", path=environment.get("PATH", os.defpath))
    if found is None:
        raise CdkCliError(
            "The CDK CLI was not found, neither in node_modules/.bin nor on the PATH. Install a pinned one "
            "with `npm ci`, or deploy without --cdk-cli."
        )
    return found
