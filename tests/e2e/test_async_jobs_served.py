"""The prebuilt stack with jobs, deployed by CloudFormation's API: a job goes through API, queue, worker and table."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from onnx_inference.local import LocalTwin

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDENS = REPOSITORY / "examples" / "digits" / "goldens"
JOBS = "/v2/models/digits/jobs"


@pytest.fixture(scope="module")
def twin():
    with LocalTwin(enforce_auth=False) as twin:
        twin.deploy(directory=REPOSITORY, context={"stack": "async-jobs", "notices": "topic"}, stacks=["AsyncJobs"])
        yield twin


def request(twin, method, path, document=None):
    url = twin.outputs("AsyncJobs", local=True)["Endpoint"].rstrip("/") + path
    body = None if document is None else json.dumps(document).encode()
    asked = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


@pytest.fixture(scope="module")
def image():
    return np.load(GOLDENS / "images.npy").astype(np.float32)[:1]


def document(image):
    return {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": list(image.shape), "data": image.ravel().tolist()}]
    }


def test_everything_of_the_template_is_there(twin):
    twin.assert_complete("AsyncJobs")


def test_a_job_is_done(twin, image):
    status, headers, record = request(twin, "POST", JOBS, document(image))
    assert (status, record["status"]) == (202, "QUEUED")
    assert headers["Location"].endswith(f"jobs/{record['id']}")
    status, _, record = request(twin, "GET", f"{JOBS}/{record['id']}?wait=25")
    assert (status, record["status"], record["attempts"]) == (200, "SUCCEEDED", 1)
    status, _, result = request(twin, "GET", f"{JOBS}/{record['id']}/result")
    assert status == 200
    (output,) = result["outputs"]
    expected = np.load(GOLDENS / "logits.npy")[0]
    np.testing.assert_allclose(np.array(output["data"]), expected, rtol=1e-3, atol=1e-3)


def test_a_request_that_the_model_cannot_take_is_refused_before_it_is_queued(twin, image):
    wrong = document(image.astype(np.int64))
    wrong["inputs"][0]["datatype"] = "INT64"
    status, _, answer = request(twin, "POST", JOBS, wrong)
    assert (status, answer["error"]) == (400, "input 'image': datatype INT64; the model takes FP32")


def test_the_same_api_answers_at_once(twin, image):
    status, _, answer = request(twin, "POST", "/v2/models/digits/infer", document(image))
    assert (status, answer["model_name"]) == (200, "digits")
