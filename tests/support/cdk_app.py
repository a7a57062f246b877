"""CDK apps of the tests, synthesised as the local twin does it."""

import os
from pathlib import Path

from onnx_inference.local.deployment.synthesis import CdkApp


def synthesise(
    directory: Path, output: Path, *, command: str | None = None, pythonpath: Path | None = None, **context: str
) -> Path:
    """Runs the app of a directory and gives its cloud assembly.

    Args:
        directory: The project.
        output: Where the assembly is written.
        command: The app's command. Default: that of `cdk.json`.
        pythonpath: Where the app imports from, besides what is installed.
        context: Context values.
    """
    environment = {**os.environ, "CDK_VALIDATION": "false"}
    if pythonpath is not None:
        environment["PYTHONPATH"] = str(pythonpath)
    assembly = CdkApp(directory, command).synthesise(
        output, context=context, account="000000000000", region="us-east-1", environment=environment
    )
    return assembly.directory
