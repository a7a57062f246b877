"""The job API: submit, show, result, cancel."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest
from botocore.exceptions import ReadTimeoutError

from onnx_handler import job_api
from onnx_handler.jobs import api, lifecycle
from onnx_handler.protocol.events import RESPONSE_LIMIT
from tests.runtime.jobs.conftest import TIMEOUT, Service, Start, context, expected, request_body, throttled
from tests.support import events, models

ROOT = Path(__file__).parents[3]


def test_submitting(service: Service) -> None:
    status, headers, body = service.request("POST", "", request_body())
    record = json.loads(body)
    assert (status, record["status"], record["model"]) == (202, "QUEUED", "model")
    assert record["deadline"] == record["created_at"] + TIMEOUT * 1000
    assert headers["retry-after"] == "1"
    assert headers["location"] == f"jobs/{record['id']}"
    (message,) = service.waiting()
    sent = json.loads(message["body"])
    assert (sent["id"], sent["model"], sent["body"]) == (record["id"], "model", request_body().decode())


@pytest.mark.parametrize("source", events.SOURCES)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v2/models/model/jobs"), ("PUT", "/v2/models/model/jobs/mine"),
                                              ("POST", "/v2/models/model/jobs/"),
                                              ("POST", "/v2/models/model/versions/1/jobs")])  # fmt: skip
def test_the_location_is_the_job_below_any_base(
    service: Service, source: events.Builder, method: str, path: str
) -> None:
    """It is resolved by the client against its own URL, whose stage or base path the handler may not see."""
    status, headers, body = events.answered(service.api.handle(source(method, path, {}, request_body()), context()))
    assert status == 202
    location = urljoin(f"https://host/stage{path}", headers["location"])
    assert location == f"https://host/stage{path.split('/jobs')[0]}/jobs/{json.loads(body)['id']}"


def test_put_is_idempotent(service: Service) -> None:
    first = service.submit(job="mine")
    assert first[0] == 202
    assert service.submit(job="mine") == first
    status, answer = service.submit(((4, 3, 2, 1),), job="mine")
    assert status == 409
    assert "another request" in answer["error"]
    status, _, body = service.request("PUT", "/mine", gzip.compress(request_body()), {"content-encoding": "gzip"})
    assert (status, json.loads(body)) == first  # the same request, however it travels
    service.work(*service.waiting())
    assert service.worker._worker._batching.runs == 1
    status, answer = service.submit(job="mine")
    assert (status, answer["status"]) == (200, "SUCCEEDED")
    assert service.waiting() == []


def test_the_header_idempotency_key_is_the_id(service: Service) -> None:
    assert service.submit(Idempotency_Key="mine")[1]["id"] == "mine"
    assert service.submit(((4, 3, 2, 1),), Idempotency_Key="mine")[0] == 409


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_result_is_the_answer_of_infer(service: Service, encoding: str) -> None:
    body = request_body(((1, 2, 3, 4), (5, 6, 7, 8)), id="asked")
    sent = gzip.compress(body) if encoding == "gzip" else body
    _, _, answer = service.request("POST", "", sent, {"Content-Encoding": encoding})
    job = json.loads(answer)["id"]
    status, headers, _ = service.request("GET", f"/{job}/result")
    assert (status, headers["retry-after"]) == (409, "1")
    service.work(*service.waiting())
    status, headers, answer = service.request("GET", f"/{job}/result")
    assert (status, headers["content-type"]) == (200, "application/json")
    result = json.loads(answer)
    assert result["id"] == "asked"
    assert result["outputs"][0]["data"] == expected(((1, 2, 3, 4), (5, 6, 7, 8)))
    status, record = service.show(job)
    assert (status, record["status"], record["result"]) == (200, "SUCCEEDED", result)


def test_binary_results_keep_their_header(service: Service) -> None:
    _, _, answer = service.request("POST", "", request_body(parameters={"binary_data_output": True}))
    job = json.loads(answer)["id"]
    service.work(*service.waiting())
    status, headers, body = service.request("GET", f"/{job}/result")
    assert status == 200
    head = json.loads(body[: int(headers["inference-header-content-length"])])
    assert head["outputs"][0]["parameters"]["binary_data_size"] == 12
    assert "result" not in service.show(job)[1]


@pytest.mark.parametrize("floats", [50_000, RESPONSE_LIMIT // 4])
def test_large_results_come_from_the_bucket(start: Start, floats: int) -> None:
    """Through Lambda where it carries them, and by a redirection past it where it does not."""
    service = start(models.repeated())
    inputs = [
        {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]},
        {"name": "count", "datatype": "INT64", "shape": [1], "data": [floats]},
    ]
    body = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    job = json.loads(service.request("POST", "", body)[2])["id"]
    assert service.work(*service.waiting()) == []
    status, headers, answer = service.request("GET", f"/{job}/result")
    if floats > 50_000:
        assert status == 303
        with urlopen(headers["location"]) as stored:
            answer = stored.read()
            metadata = {name.lower(): value for name, value in stored.headers.items()}
        assert metadata["x-amz-meta-inference-header-content-length"] == headers["inference-header-content-length"]
    else:
        assert status == 200
    assert len(answer) == int(headers["inference-header-content-length"]) + 4 * floats


@pytest.mark.parametrize("status", ["FAILED", "EXPIRED", "CANCELLED"])
def test_there_is_no_result_of_a_job_that_did_not_succeed(service: Service, later: Any, status: str) -> None:
    _, submitted = service.submit(Job_Timeout="5")
    job = submitted["id"]
    if status == "FAILED":
        service.table.change(lifecycle.fail(job, lifecycle.now(), "the cause"))
    elif status == "EXPIRED":
        later(5)
    else:
        service.request("DELETE", f"/{job}")
    code, _, body = service.request("GET", f"/{job}/result")
    assert code == 410
    assert status in json.loads(body)["error"]
    assert service.record(job).status == status
    assert service.request("DELETE", f"/{job}")[0] == (200 if status == "CANCELLED" else 409)


def test_the_first_reader_past_the_deadline_writes_so(service: Service, later: Any) -> None:
    _, submitted = service.submit(Job_Timeout="5")
    later(5)
    assert service.show(submitted["id"])[1]["status"] == "EXPIRED"
    assert service.record(submitted["id"]).status == "EXPIRED"


def test_a_long_poll_ends_with_the_job(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _, submitted = service.submit()
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            service.work(*service.waiting())

    monkeypatch.setattr(api, "sleep", pause)
    assert service.show(submitted["id"], "wait=20")[1]["status"] == "SUCCEEDED"
    assert pauses == sorted(pauses)


def test_a_long_poll_ends_in_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _, submitted = service.submit()
    clock = [0.0]
    monkeypatch.setattr(api, "monotonic", lambda: clock[0])
    monkeypatch.setattr(api, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    assert service.show(submitted["id"], "wait=1000")[1]["status"] == "QUEUED"
    assert clock[0] == pytest.approx(api.LONGEST_WAIT)
    event = events.http_api("GET", f"/v2/models/model/jobs/{submitted['id']}", {}, b"") | {"rawQueryString": "wait=20"}
    clock[0] = 0.0
    service.api.handle(event, context(5))
    assert clock[0] == pytest.approx(5 - api.RESERVE)


@pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=nan", "wait=inf", "wait="])
def test_a_wait_that_is_none(service: Service, query: str) -> None:
    _, submitted = service.submit()
    status, answer = service.show(submitted["id"], query)
    assert status == 400
    assert "wait" in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "", b"", {}, 400),
        ("POST", "", b"{}", {}, 400),
        ("POST", "", request_body().replace(b'"x"', b'"z"'), {}, 400),
        ("POST", "", request_body().replace(b"FP32", b"INT64"), {}, 400),
        ("POST", "", request_body(outputs=[{"name": "z"}]), {}, 400),
        ("POST", "", request_body(), {"content-encoding": "br"}, 415),
        ("POST", "", request_body(), {"job-timeout": "0"}, 400),
        ("POST", "", request_body(), {"job-timeout": "601"}, 400),
        ("POST", "", request_body(), {"job-timeout": "1.5"}, 400),
        ("POST", "", request_body(), {"idempotency-key": "a b"}, 400),
        ("PUT", "/.hidden", request_body(), {}, 400),
        ("PUT", "/" + "x" * 129, request_body(), {}, 400),
        ("GET", "/unknown", b"", {}, 404),
        ("GET", "/unknown/result", b"", {}, 404),
        ("DELETE", "/unknown", b"", {}, 404),
        ("POST", "/mine", request_body(), {}, 405),
        ("GET", "", b"", {}, 405),
        ("GET", "/a/b/c", b"", {}, 404),
    ],
)
def test_refusals(service: Service, method: str, path: str, body: bytes, headers: dict[str, str], status: int) -> None:
    code, said, answer = service.request(method, path, body, headers)
    assert code == status
    assert json.loads(answer)["error"]
    assert ("allow" in said) == (status == 405)
    assert service.waiting() == []


def test_unknown_models_and_versions(service: Service) -> None:
    for path in ("/v2/models/other/jobs", "/v2/models/model/versions/2/jobs"):
        event = events.http_api("POST", path, {}, request_body())
        status, _, answer = events.answered(service.api.handle(event, context()))
        assert status == 404
        assert "['model version 1']" in json.loads(answer)["error"]


def test_a_job_is_found_below_its_own_model_only(service: Service) -> None:
    _, submitted = service.submit()
    event = events.http_api("GET", f"/v2/models/other/jobs/{submitted['id']}", {}, b"")
    assert service.api.handle(event, context())["statusCode"] == 404


def test_a_queue_that_does_not_take_the_message(service: Service) -> None:
    """The client is asked to come back, and its next attempt is like its first."""
    service.queue.fault = throttled()
    status, headers, answer = service.request("PUT", "/mine", request_body())
    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(answer)["error"]
    service.queue.fault = None
    assert service.submit(job="mine")[0] == 202
    assert service.work(*service.waiting()) == []
    assert service.record("mine").status == "SUCCEEDED"


def test_a_process_that_dies_between_record_and_message(service: Service) -> None:
    """A repeated PUT mends it."""
    _, made = service.submit(job="mine")
    service.waiting()  # as if it had never been sent
    assert service.submit(job="mine") == (202, made)
    (message,) = service.waiting()
    assert json.loads(message["body"])["deadline"] == made["deadline"]
    assert service.work(message) == []
    assert service.record("mine").status == "SUCCEEDED"


@pytest.mark.parametrize("error", [throttled(), ReadTimeoutError(endpoint_url="x")])
def test_a_table_that_does_not_answer(service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**_: Any) -> Any:
        raise error

    client = service.clients.get("dynamodb")
    for operation in ("get_item", "put_item", "update_item"):
        monkeypatch.setattr(client, operation, fail)
    for method, path in (("POST", ""), ("GET", "/mine"), ("DELETE", "/mine"), ("GET", "/mine/result")):
        status, headers, _ = service.request(method, path, request_body())
        assert (status, headers["retry-after"]) == (503, "1")


def test_a_wrong_environment_is_an_answer(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_TABLE_NAME")
    monkeypatch.setenv("JOB_TIMEOUT", "soon")
    event = events.http_api("POST", "/v2/models/model/jobs", {}, request_body())
    status, _, answer = events.answered(job_api.Handler().handle(event, context()))
    assert status == 503
    assert "JOBS_TABLE_NAME is not set; JOB_TIMEOUT is 'soon'" in json.loads(answer)["error"]


@pytest.mark.parametrize("content", ["[]", "{}", "not json", '{"models": [{"name": "m"}]}', None])
def test_signatures_that_cannot_be_read(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    monkeypatch.setenv("MODEL_SIGNATURES", "wrong.json")
    if content is not None:
        (tmp_path / "wrong.json").write_text(content)
    event = events.http_api("POST", "/v2/models/model/jobs", {}, request_body())
    answer = job_api.Handler().handle(event, context())
    assert answer["statusCode"] == 503
    assert "signatures" in answer["body"]


IMPORTS = """
import sys
import onnx_handler.{module}
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"numpy", "onnxruntime", "boto3"}}))
"""


@pytest.mark.parametrize("module", ["job_api", "dead_letters", "sweep"])
def test_what_a_command_without_a_model_imports(module: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.strip() == "[]"
