"""The whole way of an image: the CDK CLI builds and pushes it, and the twin runs what it pulls from the registry."""

from __future__ import annotations

import json

import numpy as np
import pytest

from onnx_inference.infer import EndpointClient, Model
from onnx_inference.local import LocalTwin
from tests.container.conftest import EXAMPLES
from tests.container.engine import LAMBDA_BASE, Engine
from tests.support import synth

GOLDENS = EXAMPLES / "digits" / "goldens"


def test_the_cli_builds_pushes_and_the_twin_pulls_and_runs(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine.base != LAMBDA_BASE:  # the CLI builds by the Dockerfile alone, so the stand-in takes the base's name
        engine.podman("tag", engine.base, LAMBDA_BASE)
    for name, value in engine.environment(building=True).items():
        monkeypatch.setenv(name, value)
    images_before = set(engine.podman("images", "--format={{.Repository}}").split())
    with LocalTwin(container_engine="podman") as twin:
        for name, value in twin.credentials.environment().items():
            monkeypatch.setenv(name, value)
        twin.deploy(directory=synth.ROOT, stacks=["Realtime"], cdk_cli=True)
        built = set(engine.podman("images", "--format={{.Repository}}").split()) - images_before
        assert any("dkr.ecr" in name for name in built)
        assert not any(name.startswith("127.0.0.1") for name in built)  # so what runs must be pulled

        model = Model(EndpointClient(twin.outputs("Realtime", local=True)["Endpoint"]), "digits")
        images = np.load(GOLDENS / "images.npy")
        answer = model.infer({"image": images})
        assert answer.outputs[0].array.argmax(axis=1).tolist() == np.load(GOLDENS / "labels.npy").tolist()
        running = json.loads(engine.podman("ps", "--format=json"))
        assert [container["Image"].split("/")[0] for container in running] == [
            twin.credentials.endpoint_url.removeprefix("http://")
        ]
        twin.destroy()
    assert json.loads(engine.podman("ps", "--format=json")) == []
