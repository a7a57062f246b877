"""The client of the job API, against a server that loses answers."""

import json
import time

import numpy as np
import pytest

from onnx_inference.infer.http_client import RequestFailed
from onnx_inference.infer.tensors import TensorMismatch
from onnx_inference.jobs import JobError, JobNotFinished, JobsClient, new_job_id
from onnx_inference.local.gateway.http_server import ApiServer, HttpResponse

UNAVAILABLE = HttpResponse(503, (), b'{"message":"Service Unavailable"}')
THROTTLED = HttpResponse(429, (("Retry-After", "0"),), b'{"message":"Too Many Requests"}')


@pytest.fixture
def client(url):
    return JobsClient(url, "double", auth="none")


def values(response):
    return response.outputs[0].array.tolist()


def test_a_job_from_submission_to_result(client, api):
    job = client.submit({"x": [1.0, 2.0]})
    assert (job.status, job.finished) == ("QUEUED", False)
    assert values(client.result(job, timeout=10)) == [2.0, 4.0]
    assert client.status(job.id).status == "SUCCEEDED"


def test_a_lost_answer_makes_no_second_job(client, api):
    api.metadata = {"name": "double", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}], "outputs": []}
    client.submit({"x": [0.0]})
    api.lose_answers = 2
    client.submit({"x": [1.0]})
    puts = [request for request in api.requests if request.method == "PUT"]
    assert len(puts) == 4
    assert len({request.path for request in puts[1:]}) == 1
    assert len(api.jobs) == 2


def test_failures_that_pass_are_tried_again(client, api):
    job = client.submit({"x": [1.0]})
    api.failures = [UNAVAILABLE, THROTTLED, HttpResponse(502), HttpResponse(504)]
    assert values(client.result(job, timeout=10)) == [2.0]


def test_failures_that_do_not_pass_are_told_at_once(client, api):
    with pytest.raises(RequestFailed, match="404 Not Found: no such job") as error:
        client.status("unknown")
    assert error.value.answer.status == 404
    client.submit({"x": [1.0]}, id="mine")
    with pytest.raises(RequestFailed, match="409"):
        client.submit({"x": [2.0]}, id="mine")


def test_a_service_that_stays_away_ends_the_attempts(url, api):
    client = JobsClient(url, "double", auth="none", retry_seconds=0.05)
    api.failures = [UNAVAILABLE] * 1000
    with pytest.raises(RequestFailed, match="503"):
        client.status("a")
    nobody = JobsClient("http://127.0.0.1:9", "double", auth="none", retry_seconds=0.05)
    with pytest.raises(RequestFailed, match="cannot be reached"):
        nobody.status("a")


@pytest.mark.parametrize("end", ["FAILED", "EXPIRED", "CANCELLED"])
def test_a_job_that_ends_otherwise_says_why(client, api, end):
    api.end = end
    job = client.submit({"x": [1.0]})
    with pytest.raises(JobError, match=f"is {end}: the model said no") as error:
        client.result(job, timeout=10)
    assert error.value.job.status == end


def test_waiting_ends_in_time(client, api):
    api.polls_to_finish = 10**9
    job = client.submit({"x": [1.0]})
    began = time.monotonic()
    with pytest.raises(JobNotFinished, match="still QUEUED"):
        client.wait(job, timeout=0.3)
    assert time.monotonic() - began < 5
    asked = [request.query_string for request in api.requests if request.method == "GET" and "jobs" in request.path]
    assert set(asked) == {""}  # less than a second is not worth a long poll


def test_a_poll_waits_at_the_server(client, api):
    client.wait(client.submit({"x": [1.0]}), timeout=300)
    assert "wait=20" in {request.query_string for request in api.requests}


def test_cancelling(client, api):
    api.polls_to_finish = 10**9
    assert client.cancel(client.submit({"x": [1.0]})).status == "CANCELLED"


def test_inputs_without_metadata_keep_their_datatype(client, api):
    given = {
        "a": np.arange(2, dtype=np.uint8),
        "b": [1.5],
        "c": [[1, 2]],
        "d": [True],
        "e": ["text"],
        "f": np.ones(1, dtype=np.float64),
    }
    client.submit(given, id="typed", binary=False)
    inputs = json.loads(api.jobs["typed"]["request"].body)["inputs"]
    assert {one["name"]: one["datatype"] for one in inputs} == {
        "a": "UINT8", "b": "FP32", "c": "INT64", "d": "BOOL", "e": "BYTES", "f": "FP64",
    }  # fmt: skip
    assert inputs[2]["shape"] == [1, 2]
    with pytest.raises(TensorMismatch, match="complex"):
        client.submit({"a": np.ones(1, dtype=np.complex64)})


def test_inputs_are_cast_to_what_the_model_takes(client, api):
    api.metadata = {"name": "double", "inputs": [{"name": "x", "datatype": "FP16", "shape": [-1]}], "outputs": []}
    client.submit({"x": [1, 2]}, id="cast", binary=False)
    assert json.loads(api.jobs["cast"]["request"].body)["inputs"][0]["datatype"] == "FP16"
    with pytest.raises(TensorMismatch, match="no input y"):
        client.submit({"y": [1]})


def test_large_inputs_travel_as_bytes(client, api):
    client.submit({"x": np.zeros(10_000, dtype=np.float32)}, id="large")
    request = api.jobs["large"]["request"]
    assert request.header("Content-Type") == "application/octet-stream"
    document = json.loads(request.body[: int(request.header("Inference-Header-Content-Length"))])
    assert document["inputs"][0]["parameters"] == {"binary_data_size": 40_000}
    assert document["parameters"] == {"binary_data_output": True}


def test_a_request_of_the_protocol_is_sent_as_it_is(client, api):
    request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [4.0]}], "id": "theirs"}
    client.submit(request, id="raw", timeout=30)
    sent = api.jobs["raw"]["request"]
    assert json.loads(sent.body) == request
    assert sent.header("Job-Timeout") == "30"


def test_a_large_result_is_fetched_from_where_it_is(client, api):
    fetched = []
    head = json.dumps(
        {
            "model_name": "double",
            "outputs": [
                {"name": "y", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
            ],
        }
    ).encode()

    def bucket(request):
        fetched.append(request)
        headers = (("x-amz-meta-inference-header-content-length", str(len(head))),)
        return HttpResponse(200, headers, head + np.array([7, 8], dtype=np.float32).tobytes())

    site = ApiServer("bucket", bucket, too_large=HttpResponse(413))
    api.large_at = lambda body: f"{site.url.rstrip('/')}/bucket/key?X-Amz-Signature=s"
    try:
        assert values(client.result(client.submit({"x": [1.0]}), timeout=10)) == [7.0, 8.0]
    finally:
        site.stop()
    (request,) = fetched
    assert request.query_string == "X-Amz-Signature=s"
    assert request.header("Authorization") is None


def test_a_result_that_cannot_be_fetched_says_from_where_and_not_with_which_signature(client, api):
    refusal = HttpResponse(403, (), b"<Code>AccessDenied")
    site = ApiServer("bucket", lambda request: refusal, too_large=HttpResponse(413))
    api.large_at = lambda body: f"{site.url.rstrip('/')}/bucket/key?X-Amz-Signature=secret"
    job = client.submit({"x": [1.0]})
    try:
        with pytest.raises(RequestFailed, match=r"fetched from 127\.0\.0\.1:\d+: 403 Forbidden: <Code>") as error:
            client.result(job, timeout=10)
    finally:
        site.stop()
    assert "secret" not in str(error.value)
    api.large_at = lambda body: "nowhere"
    with pytest.raises(RequestFailed, match="names no URL for the result: 'nowhere'"):
        client.result(job, timeout=10)


def test_an_endpoint_that_is_no_url_is_said_at_once():
    with pytest.raises(RequestFailed, match="is not an http or https URL"):
        JobsClient("jobs.example.com", "double")


def test_asking_for_metadata_is_tried_again(client, api):
    api.metadata = {"name": "double", "inputs": [{"name": "x", "datatype": "FP16", "shape": [-1]}], "outputs": []}
    api.failures = [UNAVAILABLE, THROTTLED]
    client.submit({"x": [1]}, id="cast", binary=False)
    assert json.loads(api.jobs["cast"]["request"].body)["inputs"][0]["datatype"] == "FP16"


def test_keys_and_tokens_are_sent(url, api):
    JobsClient(url, "double", auth="none", api_key="k").submit({"x": [1.0]})
    assert api.requests[-1].header("x-api-key") == "k"
    JobsClient(url, "double", bearer="t").submit({"x": [1.0]})
    assert api.requests[-1].header("Authorization") == "Bearer t"


def test_many_in_order_and_again_after_a_crash(client, api):
    api.polls_to_finish = 1
    told = []
    outcomes = list(client.map(({"x": [float(n)]} for n in range(50)), name="run-7", on_submitted=told.append))
    assert [values(outcome.result()) for outcome in outcomes] == [[2.0 * n] for n in range(50)]
    assert {job.id for job in told} == {f"run-7-{n}" for n in range(50)}
    again = list(client.map(({"x": [float(n)]} for n in range(50)), name="run-7"))
    assert [outcome.id for outcome in again] == [outcome.id for outcome in outcomes]
    assert len(api.jobs) == 50
    collected = list(client.collect([outcome.id for outcome in outcomes]))
    assert [values(outcome.result()) for outcome in collected] == [[2.0 * n] for n in range(50)]


def test_one_of_many_that_fails_does_not_stop_the_others(client, api):
    outcomes = list(client.map([{"x": [1.0]}, {"x": np.ones(1, dtype=np.complex64)}, {"x": [3.0]}], name="mixed"))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    with pytest.raises(TensorMismatch):
        outcomes[1].result()


def test_ids_are_new_and_sort_by_time():
    ids = [new_job_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(one) <= 128 for one in ids)
