"""The session options of a package's manifest, seen in the process that serves it from the prebuilt stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnx_inference.local import LocalTwin
from tests.e2e.packages import OPEN, assert_parity, golden_inputs, manifest_of, original, prepare, served
from tests.support import corpus, synth


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has 67 MB of weights."""
    return corpus.save(corpus.mlp(layers=4, width=2048), tmp_path_factory.mktemp("given") / "model.onnx")


@pytest.fixture(scope="module")
def package(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared as a user does it: sessions are measured in processes of their own."""
    package = tmp_path_factory.mktemp("prepared") / "package"
    prepare(model, package, "--name", "wide", "--for", "cold-start")
    return package


@pytest.fixture(scope="module")
def deployed(package: Path, twin: LocalTwin) -> Iterator[LocalTwin]:
    twin.deploy(directory=synth.ROOT, stacks=["Realtime"], context={**OPEN, "model": str(package), "name": "wide"})
    yield twin
    twin.destroy()


def process_behind(twin: LocalTwin, model: Path, package: Path) -> dict[str, int]:
    """Sends a request, checks the answer, and returns what the kernel says about the process that answered."""
    before = set(twin.processes())
    feed = golden_inputs(package)[0]
    url = twin.outputs("Realtime", local=True)["Endpoint"]
    assert_parity(package, [(served(url, package, feed), original(model, feed))])
    (process,) = set(twin.processes()) - before
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {name: int(fields[name].split()[0]) for name in ("RssAnon", "Threads")}


def test_they_are_in_effect(deployed: LocalTwin, model: Path, package: Path) -> None:
    """Weights that are not prepacked stay in the file; threads are there to be counted."""
    manifest = manifest_of(package)
    assert manifest["session"]["config"] == {"session.disable_prepacking": "1"}
    weights = (package / "model.onnx.data").stat().st_size
    chosen = process_behind(deployed, model, package)

    manifest["session"].update(config={}, intra_op_num_threads=4)
    (package / "manifest.json").write_text(json.dumps(manifest))
    deployed.update()
    other = process_behind(deployed, model, package)
    assert (other["RssAnon"] - chosen["RssAnon"]) * 1024 > 0.8 * weights
    assert other["Threads"] - chosen["Threads"] == 3
