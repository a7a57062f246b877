"""LargeModel on the twin: the publisher really puts models where they are served from, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.http as triton

from onnx_inference.local import LocalTwin
from tests.support import synth

DIGITS = synth.ROOT / "examples" / "digits"
IMAGES = np.load(DIGITS / "goldens" / "images.npy").astype(np.float32)
CONTEXT = {"auth": "none", "auth_reason": "the client under test cannot sign", "name": "digits"}


@pytest.fixture(scope="module", params=["efs", "s3", "s3-files"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def deployed(source: str) -> Iterator[LocalTwin]:
    with LocalTwin() as twin:
        twin.deploy(directory=synth.ROOT, stacks=["LargeModel"], context={**CONTEXT, "source": source})
        yield twin


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits model with its last bias changed, weights in a file of their own: another digest."""
    made = onnx.load(DIGITS / "model.onnx")
    bias = next(tensor for tensor in made.graph.initializer if list(tensor.dims) == [10])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
    directory = tmp_path_factory.mktemp("retrained")
    onnx.save(made, directory / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    return directory


def served(twin: LocalTwin) -> np.ndarray[Any, Any]:
    endpoint = urlsplit(twin.outputs("LargeModel", local=True)["Endpoint"]).netloc
    with triton.InferenceServerClient(endpoint) as client:
        tensor = triton.InferInput("image", list(IMAGES.shape), "FP32")
        tensor.set_data_from_numpy(IMAGES)
        logits: np.ndarray[Any, Any] = client.infer("digits", [tensor]).as_numpy("logits")
        return logits


def expected(model: Path) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(model)
    logits: np.ndarray[Any, Any] = session.run(["logits"], {"image": IMAGES})[0]
    return logits


def version(twin: LocalTwin) -> str:
    name = twin.outputs("LargeModel")["FunctionName"]
    return str(twin.client("lambda").get_alias(FunctionName=name, Name="live")["FunctionVersion"])


def test_create_update_and_rollback(deployed: LocalTwin, retrained: Path) -> None:
    original = DIGITS / "model.onnx"
    assert np.array_equal(served(deployed), expected(original))
    first = version(deployed)
    deployed.update(context={"model": str(retrained)})
    np.testing.assert_allclose(served(deployed), expected(retrained / "model.onnx"), rtol=1e-5, atol=1e-5)
    second = version(deployed)
    assert second != first
    deployed.update(context={"model": str(original)})
    assert np.array_equal(served(deployed), expected(original))
    assert version(deployed) != second


def test_the_same_model_changes_nothing(deployed: LocalTwin) -> None:
    before = version(deployed)
    deployed.update()
    assert version(deployed) == before


def test_only_mounted_models_are_published(deployed: LocalTwin, source: str) -> None:
    publications = [record for record in deployed.invocations() if "Publisher" in record.function_name]
    assert bool(publications) is (source != "s3")
    assert all(record.status == "success" for record in publications)


def test_it_can_be_deleted_and_made_again(deployed: LocalTwin, source: str) -> None:
    context = {**CONTEXT, "source": source, "removal": "destroy", "removal_reason": "the test makes it again"}
    for _ in range(2):
        deployed.destroy()
        deployed.deploy(directory=synth.ROOT, stacks=["LargeModel"], context=context)
        assert np.array_equal(served(deployed), expected(DIGITS / "model.onnx"))
