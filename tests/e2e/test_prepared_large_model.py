"""A model of more than 2 GB, which no protobuf message holds, from the command to the client.

Opt in: ONNX_INFERENCE_LARGE_MODELS=1 (some 15 GB of disk, minutes).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_inference.local import LocalTwin
from tests.e2e.packages import OPEN, assert_parity, golden_inputs, original, served
from tests.support import corpus, synth

pytestmark = pytest.mark.skipif(
    not os.environ.get("ONNX_INFERENCE_LARGE_MODELS"), reason="takes minutes; set ONNX_INFERENCE_LARGE_MODELS=1"
)


def test_it_is_served_as_the_original(twin: LocalTwin, tmp_path: Path) -> None:
    model, package = corpus.save_large(tmp_path / "given" / "model.onnx"), tmp_path / "package"
    command = [sys.executable, "-m", "onnx_inference.cli", "prepare", str(model), "-o", str(package)]
    subprocess.run(
        [*command, "--name", "large", "--rounds", "1", "--for", "cold-start"],
        env={**os.environ, "PYTHONPATH": str(synth.ROOT / "toolkit")},
        check=True,
    )
    assert (package / "model.onnx.data").stat().st_size > 2**31
    context = {**OPEN, "model": str(package), "name": "large", "memory": "10240"}
    twin.deploy(directory=synth.ROOT, stacks=["Realtime"], context=context)
    url = twin.outputs("Realtime", local=True)["Endpoint"]
    feeds = golden_inputs(package)
    answers = [served(url, package, feed) for feed in feeds]
    assert {record.status for record in twin.invocations()} == {"success"}
    twin.destroy()
    assert_parity(package, [(answer, original(model, feed)) for answer, feed in zip(answers, feeds, strict=True)])
