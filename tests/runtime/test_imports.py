"""What a cold start imports: a budget on modules, because every import is paid for at each cold start.

What awslambdaric, numpy and onnxruntime import is not this project's; what comes on top is, module by module. A module
that is new here either goes into the budget below, with a reason, or is imported where it is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import events, models
from tests.support.synth import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("awslambdaric") is None, reason="awslambdaric is there for Linux only"
)

# A model in the image, up to the answer to a small JSON request.
FIRST_ANSWER = {
    "gc",  # in the interpreter itself
    "onnx_handler",
    "onnx_handler.errors",
    "onnx_handler.http",
    "onnx_handler.metrics",
    "onnx_handler.models",
    "onnx_handler.models.manifest",
    "onnx_handler.models.model",
    "onnx_handler.models.processing",
    "onnx_handler.models.repository",
    "onnx_handler.models.session",
    "onnx_handler.protocol",
    "onnx_handler.protocol.content_encoding",
    "onnx_handler.protocol.events",
    "onnx_handler.protocol.inference_request",
    "onnx_handler.protocol.inference_response",
    "onnx_handler.protocol.open_inference",
    "onnx_handler.protocol.request_form",
    "onnx_handler.protocol.routing",
    "onnx_handler.settings",
    "onnx_handler.storage",
    "onnx_handler.storage.prefetch",
    "onnx_handler.tensors",
    "onnx_handler.tensors.codecs",
    "onnx_handler.tensors.datatypes",
    "onnx_handler.tensors.signature",
}
BINARY = {"binascii"}  # base64
COMPRESSED = {"binascii", "zlib"}
WARM_EVENT = {"onnx_handler.cold_start", "onnx_handler.cold_start.warm", "onnx_handler.models.golden_run"}
AHEAD = {
    "onnx_handler.cold_start",
    "onnx_handler.cold_start.initialisation",
    "onnx_handler.models.golden_run",
    "zlib",
    "binascii",
    "urllib",
    "urllib.parse",
    "ipaddress",
}
SNAP_START = {*AHEAD, "onnx_handler.cold_start.snapshot", "snapshot_restore_py"}

# Notes who was the first to import each module: the innermost file that is no part of the import machinery.
PROGRAM = """
import json, sys
{before}
before = set(sys.modules)
importers = {{}}

class Noted:
    @staticmethod
    def find_spec(name, path=None, target=None):
        frame = sys._getframe(1)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        importers.setdefault(name, f"{{frame.f_code.co_filename}}:{{frame.f_lineno}}" if frame else "?")

sys.meta_path.insert(0, Noted)
{program}
for event in {events!r}:
    onnx_handler.http.handler(event, None)
print(json.dumps({{name: importers.get(name, "?") for name in set(sys.modules) - before}}))
"""
BASE = "import awslambdaric.bootstrap, onnxruntime"


def imported(
    tmp_path: Path,
    *requests: events.Event,
    program: str = "import onnx_handler.http",
    base: str = BASE,
    **variables: str,
) -> dict[str, str]:
    """The modules that come on top of `base`, each with the file and line that imported it first."""
    models.save(models.matmul(), tmp_path / "model")
    environment = {
        "MODEL_PATH": "model",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "ORT_DISABLE_TELEMETRY": "1",
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT / "runtime"),
        **variables,
    }
    program = PROGRAM.format(before=base, program=program, events=list(requests))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def hold(found: dict[str, str], budget: set[str]) -> None:
    over = {name: found[name] for name in sorted(found.keys() - budget)}
    told = "\n".join(f"  {name}, imported by {who}" for name, who in over.items())
    assert not over, (
        f"{len(over)} modules past the budget:\n{told}\nImport them where they are needed, or raise the budget."
    )


def infer(headers: dict[str, str] | None = None, source: events.Builder = events.http_api) -> events.Event:
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})
    return source("POST", "/v2/models/model/infer", headers or {}, body.encode())


def test_a_cold_start_up_to_its_first_answer_is_within_budget(tmp_path: Path) -> None:
    found = imported(tmp_path, infer())
    hold(found, FIRST_ANSWER)
    unused = FIRST_ANSWER - found.keys()
    assert not unused, f"no longer imported; lower the budget: {sorted(unused)}"


def test_a_further_request_imports_nothing(tmp_path: Path) -> None:
    hold(imported(tmp_path, *[infer()] * 2, infer(source=events.rest_api)), FIRST_ANSWER)


def test_base64_needs_one_library(tmp_path: Path) -> None:
    encoded = {**infer(), "body": "e30=", "isBase64Encoded": True}
    found = imported(tmp_path, encoded)
    hold(found, FIRST_ANSWER | BINARY)


def test_compression_needs_one_more(tmp_path: Path) -> None:
    hold(imported(tmp_path, infer({"content-encoding": "gzip"})), FIRST_ANSWER | COMPRESSED)


def test_a_warm_event_brings_what_it_is_for(tmp_path: Path) -> None:
    found = imported(tmp_path, {"source": "cdk-onnx-inference.warmer"}, infer())
    hold(found, FIRST_ANSWER | WARM_EVENT)
    assert found.keys() >= WARM_EVENT


@pytest.mark.parametrize(("kind", "budget"), [("provisioned-concurrency", AHEAD), ("snap-start", SNAP_START)])
def test_initialised_ahead_no_request_imports_anything(tmp_path: Path, kind: str, budget: set[str]) -> None:
    requests = [infer(), infer({"content-encoding": "gzip"}), infer({"accept-encoding": "gzip"})]
    before = imported(tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE=kind)
    hold(before, FIRST_ANSWER | budget)
    after = imported(tmp_path, *requests, AWS_LAMBDA_INITIALIZATION_TYPE=kind)
    assert after.keys() == before.keys()


def test_what_goes_first_needs_nothing(tmp_path: Path) -> None:
    """A model that is read, or downloaded, while the rest is imported must not wait for imports of its own."""
    started = "from onnx_handler.storage import prefetch; prefetch.start(os.environ)"
    found = imported(tmp_path, program=started, base="import awslambdaric.bootstrap, os")
    assert found.keys() == {"onnx_handler", "onnx_handler.storage", "onnx_handler.storage.prefetch"}


def test_the_budget_tells_who_went_past_it(tmp_path: Path) -> None:
    processing = "import colorsys\n\ndef preprocess(request):\n    return request.inputs\n"
    (tmp_path / "processing.py").write_text(processing)
    found = imported(tmp_path, PROCESSING_PATH="processing.py")
    with pytest.raises(AssertionError, match=r"modules past the budget:\n +colorsys, imported by .*processing.py:1\n"):
        hold(found, FIRST_ANSWER)
