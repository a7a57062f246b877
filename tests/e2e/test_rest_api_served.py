"""The prebuilt stack with a REST API, an API key and user-written processing, deployed by CloudFormation's API."""

from pathlib import Path

import numpy as np
import pytest

from onnx_inference.infer import EndpointClient, Model, RequestFailed
from onnx_inference.local import LocalTwin

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDENS = REPOSITORY / "examples" / "digits" / "goldens"

PROCESSING = """
import numpy

OUTPUTS = [{"name": "digit", "datatype": "INT64", "shape": [-1]}]


def postprocess(outputs):
    return {"digit": numpy.argmax(outputs["logits"], axis=1)}
"""


@pytest.mark.parametrize("binary", [True, False])
def test_an_api_key_opens_a_rest_api(twin, binary):
    (endpoint,) = twin.endpoints()
    assert (endpoint.kind, endpoint.auth) == ("REST API", "API key, none")
    with pytest.raises(RequestFailed, match="403 Forbidden: Forbidden"):
        Model(EndpointClient(endpoint.url, auth="none"), "digits").metadata()
    (key,) = twin.client("apigateway").get_api_keys(includeValues=True)["items"]
    client = EndpointClient(endpoint.url, auth="none", headers={"x-api-key": key["value"]})
    images = np.load(GOLDENS / "images.npy").astype(np.float32)
    response = Model(client, "digits").infer({"image": images}, binary=binary)
    expected = np.load(GOLDENS / "logits.npy").argmax(axis=1)
    assert [(o.name, o.array.tolist()) for o in response.outputs] == [("digit", expected.tolist())]


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    processing = tmp_path_factory.mktemp("processing") / "answer.py"
    processing.write_text(PROCESSING)
    with LocalTwin() as twin:
        context = {"api": "rest", "auth": "api-key", "processing": str(processing)}
        twin.deploy(directory=REPOSITORY, stacks=["Realtime"], context=context)
        yield twin
