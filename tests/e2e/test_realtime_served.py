"""The prebuilt stack, deployed by CloudFormation's API: a real model answers unmodified clients."""

import json
import threading
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_inference.local import LocalTwin
from tests.support import models

httpclient = pytest.importorskip("tritonclient.http")

REPOSITORY = Path(__file__).resolve().parents[2]
DIGITS = REPOSITORY / "examples" / "digits"
GOLDENS = DIGITS / "goldens"


@pytest.fixture(scope="module")
def twin():
    with LocalTwin(enforce_auth=False) as twin:
        twin.deploy(directory=REPOSITORY, stacks=["Realtime"])
        yield twin


@pytest.fixture(scope="module")
def images():
    return np.load(GOLDENS / "images.npy").astype(np.float32)


def client_for(twin, **options):
    url = twin.endpoints()[0].url.removeprefix("http://").rstrip("/")
    return httpclient.InferenceServerClient(url, **options)


def infer(client, images, *, binary):
    tensor = httpclient.InferInput("image", list(images.shape), "FP32")
    tensor.set_data_from_numpy(images, binary_data=binary)
    outputs = [httpclient.InferRequestedOutput("logits", binary_data=binary)]
    return client.infer("digits", [tensor], outputs=outputs).as_numpy("logits")


def test_one_endpoint_with_one_function_behind_the_alias(twin):
    (endpoint,) = twin.endpoints()
    (function,) = endpoint.functions
    assert (endpoint.kind, endpoint.auth, function.qualifier) == ("HTTP API", "IAM", "live")
    assert twin.command_of(function) == "onnx_handler.http.handler"
    assert twin.outputs("Realtime", local=True)["Endpoint"].rstrip("/") == endpoint.url.rstrip("/")
    twin.assert_complete("Realtime")


@pytest.mark.parametrize("binary", [True, False])
def test_predictions_are_the_goldens(twin, images, binary):
    client = client_for(twin)
    assert client.is_server_live()
    assert client.is_model_ready("digits")
    logits = infer(client, images, binary=binary)
    np.testing.assert_allclose(logits, np.load(GOLDENS / "logits.npy"), rtol=1e-4, atol=1e-5)
    client.close()


def test_concurrent_clients_are_all_answered(twin, images):
    expected = np.load(GOLDENS / "logits.npy")[:4]
    failures = []

    def talk():
        client = client_for(twin)
        for _ in range(5):
            if not np.allclose(infer(client, images[:4], binary=True), expected, rtol=1e-4, atol=1e-5):
                failures.append("different")
        client.close()

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {record.status for record in twin.invocations()} == {"success"}


def test_metrics_of_a_request_are_there(twin, images):
    client = client_for(twin)
    infer(client, images[:1], binary=True)
    client.close()
    assert {datum.namespace for datum in twin.metrics()} == {"OnnxInference"}


def test_another_model_is_a_new_version_and_the_next_request_is_answered_by_it(twin, tmp_path):
    """The last of this twin's tests: it leaves the other model behind."""
    before = twin.invocations()[-1].function_version
    endpoint = twin.endpoints()[0].url
    path = tmp_path / "same.onnx"
    onnx.save(models.identity(), path)
    twin.update(context={"model": str(path)})
    assert twin.endpoints()[0].url == endpoint
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}]}).encode()
    request = urllib.request.Request(
        f"{endpoint}v2/models/same/infer", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert answer["outputs"][0]["data"] == [1.5, 2.5]
    record = twin.invocations()[-1]
    assert int(record.function_version) > int(before)
    assert record.cold_start
    twin.destroy()
    assert twin.processes() == []
