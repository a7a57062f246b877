"""Unmodified clients of the protocol against the prebuilt stack on the local twin, over its API's real event shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient.utils import InferenceServerException

from onnx_inference.local import LocalTwin
from tests.support import synth

DIGITS = synth.ROOT / "examples" / "digits"
IMAGES = np.load(DIGITS / "goldens" / "images.npy").astype(np.float32)
OPEN = {"auth": "none", "auth_reason": "the clients under test cannot sign"}


@pytest.fixture(scope="module", params=["http", "rest"])
def url(request: pytest.FixtureRequest, twin: LocalTwin) -> Iterator[str]:
    """The endpoint of each kind of API; a REST API has its stage in the path."""
    twin.deploy(directory=synth.ROOT, stacks=["Realtime"], context={**OPEN, "api": request.param})
    yield twin.outputs("Realtime", local=True)["Endpoint"]
    twin.destroy()


@pytest.fixture(scope="module")
def expected() -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(DIGITS / "model.onnx")
    logits: np.ndarray[Any, Any] = session.run(["logits"], {"image": IMAGES})[0]
    return logits


@pytest.fixture
def client(url: str) -> Iterator[triton.InferenceServerClient]:
    parts = urlsplit(url)
    with triton.InferenceServerClient(parts.netloc + parts.path, concurrency=4) as opened:
        yield opened


def image_input(images: np.ndarray[Any, Any], *, binary: bool) -> triton.InferInput:
    tensor = triton.InferInput("image", list(images.shape), "FP32")
    tensor.set_data_from_numpy(images, binary_data=binary)
    return tensor


def test_triton_health_and_metadata(client: triton.InferenceServerClient, url: str) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("letters")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("digits")
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_triton_infer(
    client: triton.InferenceServerClient,
    expected: np.ndarray[Any, Any],
    binary_in: bool,
    binary_out: bool,
    compression: str | None,
) -> None:
    result = client.infer(
        "digits",
        [image_input(IMAGES, binary=binary_in)],
        outputs=[triton.InferRequestedOutput("logits", binary_data=binary_out)],
        request_id="7",
        request_compression_algorithm=compression,
        response_compression_algorithm="gzip" if compression else None,
    )
    assert np.array_equal(result.as_numpy("logits"), expected)
    assert result.get_response()["id"] == "7"


def test_triton_async_infer(client: triton.InferenceServerClient, expected: np.ndarray[Any, Any]) -> None:
    singles = [IMAGES[[index]] for index in range(len(IMAGES))]
    pending = [client.async_infer("digits", [image_input(image, binary=True)]) for image in singles]
    answers = [request.get_result().as_numpy("logits") for request in pending]
    # One image at a time takes other kernels than a batch, hence not to the last bit.
    np.testing.assert_allclose(np.concatenate(answers), expected, rtol=1e-4, atol=1e-4)


def test_triton_is_told_what_is_wrong(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"\[-1, 1, 8, 8\]") as raised:
        client.infer("digits", [image_input(IMAGES[0], binary=True)])
    assert raised.value.status() == "400"
    with pytest.raises(InferenceServerException, match="unknown model") as raised:
        client.get_model_metadata("letters")
    assert raised.value.status() == "404"


def test_kserve(url: str, expected: np.ndarray[Any, Any]) -> None:
    async def ask() -> None:
        rest = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await rest.is_server_live(url)
        assert await rest.is_server_ready(url)
        assert await rest.is_model_ready(url, "digits")
        for binary in (False, True):
            tensor = InferInput("image", list(IMAGES.shape), "FP32")
            tensor.set_data_from_numpy(IMAGES, binary_data=binary)
            answer = await rest.infer(url, InferRequest(model_name="digits", infer_inputs=[tensor]), "digits")
            assert np.array_equal(answer.outputs[0].as_numpy(), expected)

    asyncio.run(ask())


def test_text_in_label_out(twin: LocalTwin) -> None:
    folder: Path = synth.ROOT / "examples" / "language"
    context = {
        **OPEN,
        "name": "language",
        "model": str(folder / "model.onnx"),
        "processing": str(folder / "processing.py"),
    }
    twin.deploy(directory=synth.ROOT, stacks=["Realtime"], context=context)
    with triton.InferenceServerClient(urlsplit(twin.outputs("Realtime", local=True)["Endpoint"]).netloc) as client:
        texts = np.array(["Wir haben Ihnen eine E-Mail geschickt.", "Nous vous avons envoyé un message."], dtype=object)
        tensor = triton.InferInput("text", [2], "BYTES")
        tensor.set_data_from_numpy(texts)
        assert client.infer("language", [tensor]).as_numpy("label").tolist() == [b"de", b"fr"]
    twin.destroy()
