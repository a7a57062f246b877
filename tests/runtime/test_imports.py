"""What a cold start imports: a budget on modules, because every import is paid for at each cold start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

RUNTIME = Path(__file__).parents[2] / "runtime"

# Only what awslambdaric and onnxruntime (with numpy) have not imported already.
PROGRAM = """
import json, sys
import awslambdaric.bootstrap, onnxruntime
before = set(sys.modules)
import onnx_handler.http
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_by_the_synchronous_room() -> set[str]:
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME), "MODEL_PATH": "none", "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
    return set(json.loads(done.stdout.splitlines()[-1]))


PREFETCH = """
import json, sys
import awslambdaric.bootstrap
before = set(sys.modules)
import onnx_handler.prefetch
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_what_goes_first_needs_nothing() -> None:
    """A model that is read, or downloaded, while the rest is imported must not wait for imports of its own."""
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME)}
    done = subprocess.run([sys.executable, "-c", PREFETCH], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == ["onnx_handler", "onnx_handler.prefetch"]


def test_only_our_own_modules_come_on_top() -> None:
    foreign = {name for name in imported_by_the_synchronous_room() if name.split(".")[0] != "onnx_handler"}
    assert foreign <= {"binascii", "zlib"}
