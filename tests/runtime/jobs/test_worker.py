"""The worker: what becomes of a batch of messages."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnx_handler import queue
from onnx_handler.errors import ModelNotReady
from onnx_handler.jobs import lifecycle
from onnx_handler.jobs.worker import Worker
from tests.runtime.jobs.conftest import BUCKET, TIMEOUT, Service, Start, context, delivered, expected, request_body
from tests.support import models


def outputs(service: Service, job: str) -> list[float]:
    record = service.record(job)
    assert record.status == lifecycle.SUCCEEDED, record.error
    body = record.result if record.result is not None else service.object(record.result_uri)
    values: list[float] = json.loads(body)["outputs"][0]["data"]
    return values


def submitted(service: Service, count: int) -> dict[str, list[tuple[float, ...]]]:
    rows = {}
    for number in range(count):
        sent = [tuple(float(number * 10 + row + column) for column in range(4)) for row in range(1 + number % 3)]
        status, record = service.submit(sent)
        assert status == 202
        rows[record["id"]] = sent
    return rows


def test_a_job_succeeds(service: Service) -> None:
    status, submitted = service.submit(((1, 2, 3, 4),))
    assert (status, submitted["status"]) == (202, "QUEUED")
    assert service.work(*service.waiting()) == []
    record = service.record(submitted["id"])
    assert (record.status, record.attempts) == ("SUCCEEDED", 1)
    assert record.result_headers == {"Content-Type": "application/json"}
    assert outputs(service, record.id) == expected(((1, 2, 3, 4),))
    assert record.expires_at == record.deadline // 1000 + 3600


def test_jobs_share_runs_and_keep_their_results(service: Service) -> None:
    jobs_of = submitted(service, 40)
    assert service.work(*service.waiting()) == []
    for job, rows in jobs_of.items():
        assert outputs(service, job) == expected(rows)
    rows = sum(map(len, jobs_of.values()))
    runs = service.worker._worker._batching.runs
    assert runs < rows / 4
    before = runs
    submitted(service, 40)
    service.work(*service.waiting())
    assert service.worker._worker._batching.runs - before <= 14  # of 8 rows; 79 rows in two chunks


def test_one_at_a_time_where_it_is_switched_off(start: Start) -> None:
    service = start(MICRO_BATCH_SIZE="1")
    submitted(service, 5)
    assert service.work(*service.waiting()) == []
    assert service.worker._worker._batching.runs == 5


def test_a_bad_job_fails_at_once_and_harms_no_other(start: Start) -> None:
    service = start(models.matmul())  # without a signature, so that the API lets all of it through
    good = submitted(service, 6)
    bad = {}
    for job, body in {
        "width": json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 5], "data": [1] * 5}]}),
        "name": json.dumps({"inputs": [{"name": "z", "datatype": "FP32", "shape": [1], "data": [1]}]}),
        "output": request_body(outputs=[{"name": "nothing"}]).decode(),
        "base64": "",
    }.items():
        message = {"id": job, "model": "model", "body": body or "not json"}
        bad[job] = service.queue.put(json.dumps(message))
    bad["model"] = service.queue.put(json.dumps({"id": "model", "model": "other", "body": request_body().decode()}))
    assert service.work(*service.waiting()) == []
    for job, rows in good.items():
        assert outputs(service, job) == expected(rows)
    for job in bad:
        record = service.record(job)
        assert record.status == "FAILED"
        assert record.error


def test_a_job_that_the_model_refuses_only_in_the_group(start: Start) -> None:
    """Its neighbours are run by themselves, and it alone fails."""
    made = models.model(
        [helper.make_node("Gather", ["table", "x"], ["y"], axis=0)],
        [models.tensor("x", TensorProto.INT64, ["n"])],
        [models.tensor("y", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor("table", TensorProto.FLOAT, [3], [10.0, 20.0, 30.0])],
    )
    service = start(made)
    for number, index in enumerate([0, 1, 99, 2]):
        tensor = {"name": "x", "datatype": "INT64", "shape": [1], "data": [index]}
        service.queue.put(json.dumps({"id": f"job-{number}", "body": json.dumps({"inputs": [tensor]})}))
    assert service.work(*service.waiting()) == []
    assert [service.record(f"job-{number}").status for number in range(4)] == [
        "SUCCEEDED",
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
    ]
    assert "99" in service.record("job-2").error
    assert outputs(service, "job-3") == [30.0]


@pytest.mark.parametrize("kind", ["cumulative", "dynamic quantisation", "rows that go"])
def test_rows_that_are_not_independent_are_found_out(start: Start, kind: str) -> None:
    """The signature has a first dimension of any size, but stacking would change results."""
    shape = ["n", 4]
    x, y = models.tensor("x", TensorProto.FLOAT, shape), models.tensor("y", TensorProto.FLOAT, shape)
    if kind == "cumulative":
        axis = helper.make_tensor("axis", TensorProto.INT64, [], [0])
        made = models.model([helper.make_node("CumSum", ["x", "axis"], ["y"])], [x], [y], [axis])
    elif kind == "dynamic quantisation":
        nodes = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ]
        made = models.model(nodes, [x], [y])
    else:
        y = models.tensor("y", TensorProto.FLOAT, ["m"])
        axes = helper.make_tensor("axes", TensorProto.INT64, [2], [0, 1])
        made = models.model([helper.make_node("ReduceSum", ["x", "axes"], ["s"], keepdims=0),
                             helper.make_node("Unsqueeze", ["s", "axis"], ["y"])], [x], [y],
                            [axes, helper.make_tensor("axis", TensorProto.INT64, [1], [0])])  # fmt: skip
    service = start(made)
    rows = {}
    for number in range(6):
        rows[f"job-{number}"] = [[float(10**number), 0.3, 0.2, 0.1]]
        body = request_body(rows[f"job-{number}"]).decode()
        service.queue.put(json.dumps({"id": f"job-{number}", "body": body}))
    messages = service.waiting()
    assert service.work(*messages) == []
    model = service.worker._worker._repository._all[0].model
    assert model is not None
    for job, sent in rows.items():
        alone = model.predict({"x": np.array(sent, np.float32)}, ["y"])["y"]
        assert outputs(service, job) == pytest.approx(alone.ravel().tolist())


def test_processing_runs_for_each_job_by_itself(start: Start) -> None:
    service = start(
        models.matmul(),
        processing="import numpy as np\n"
        "SEEN = []\n"
        "def preprocess(request):\n"
        "    SEEN.append(request.parameters.get('tag'))\n"
        "    return {'x': request.inputs['x'] * request.parameters.get('factor', 1)}\n"
        "def postprocess(outputs):\n"
        "    return {'y': outputs['y'].sum(axis=1), 'rows': np.array([len(outputs['y'])])}\n",
    )
    for number in range(4):
        body = request_body([[1, 1, 1, 1]] * (number + 1), parameters={"factor": number}).decode()
        service.queue.put(json.dumps({"id": f"job-{number}", "body": body}))
    assert service.work(*service.waiting()) == []
    for number in range(4):
        answer = json.loads(service.record(f"job-{number}").result or b"")
        assert answer["outputs"][0]["data"] == [66.0 * number] * (number + 1)
        assert answer["outputs"][1]["data"] == [number + 1]


def test_duplicates_run_once(service: Service) -> None:
    _, submitted = service.submit()
    (message,) = service.waiting()
    again = {**message, "messageId": "another"}
    assert service.work(message, again) == []
    assert service.worker._worker._batching.runs == 1
    first = service.record(submitted["id"])
    assert service.work(dict(message)) == []
    assert service.record(submitted["id"]) == first


def test_a_crashed_attempt_is_repeated(service: Service) -> None:
    _, submitted = service.submit()
    (message,) = service.waiting()
    service.table.change(lifecycle.start(submitted["id"], 1, lifecycle.now()))  # and then the process died
    message["attributes"]["ApproximateReceiveCount"] = "1"
    assert service.work(message) == []
    record = service.record(submitted["id"])
    assert (record.status, record.attempts) == ("SUCCEEDED", 2)


def test_a_job_that_kills_the_process_takes_no_other_with_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of delivery, after three deliveries only the job that kills is left."""

    class Killed(BaseException):
        pass

    service = start(MICRO_BATCH_SIZE="4")
    good = submitted(service, 7)
    _, bad = service.submit(((666, 0, 0, 0),))
    messages = service.waiting()
    messages.insert(0, messages.pop())
    model = service.worker._worker._repository._all[0].model
    assert model is not None
    predict = model.predict

    def deadly(feeds: Any, names: Any) -> Any:
        if 666 in feeds["x"]:
            raise Killed
        return predict(feeds, names)

    monkeypatch.setattr(model, "predict", deadly)
    for _ in range(3):
        left = [one for one in messages if service.record(json.loads(one["body"])["id"]).is_open]
        try:
            service.work(*left)
        except Killed:
            continue
    for job, rows in good.items():
        assert outputs(service, job) == expected(rows)
    assert service.record(bad["id"]).status == "RUNNING"
    (dead,) = [one for one in messages if json.loads(one["body"])["id"] == bad["id"]]
    assert service.bury(dead) == []
    record = service.record(bad["id"])
    assert record.status == "FAILED"
    assert "started 3 times and gave no answer" in record.error


def test_cancelled_and_overdue_jobs_are_not_run(service: Service, later: Any) -> None:
    _, cancelled = service.submit()
    assert service.request("DELETE", f"/{cancelled['id']}")[0] == 200
    _, overdue = service.submit(Job_Timeout="5")
    later(6)
    assert service.work(*service.waiting()) == []
    assert service.worker._worker._batching.runs == 0
    assert service.record(cancelled["id"]).status == "CANCELLED"
    record = service.record(overdue["id"])
    assert record.status == "EXPIRED"
    assert record.error == "the job was not done by its deadline, 5 s after its submission"


def test_the_result_of_a_job_that_was_cancelled_meanwhile_is_dropped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, submitted = service.submit()
    finish = Worker.finish

    def cancelled_first(worker: Any, ran: Any) -> None:
        assert service.request("DELETE", f"/{submitted['id']}")[0] == 200
        finish(worker, ran)

    monkeypatch.setattr(Worker, "finish", cancelled_first)
    assert service.work(*service.waiting()) == []
    record = service.record(submitted["id"])
    assert (record.status, record.result) == ("CANCELLED", None)


def test_an_sdk_may_put_jobs_on_the_queue(service: Service) -> None:
    bare = service.queue.put(request_body().decode())
    named = service.queue.put(
        request_body().decode(), attributes={"model": {"StringValue": "model", "DataType": "String"}}
    )
    raw = np.array([[1, 2, 3, 4]], np.float32).tobytes()
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": len(raw)}}
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    envelope = {
        "id": "mine",
        "headers": {"Inference-Header-Content-Length": str(len(head))},
        "body_base64": b64encode(head + raw).decode(),
    }
    service.queue.put(json.dumps(envelope))
    assert service.work(*service.waiting()) == []
    for message in (bare, named):
        assert outputs(service, message["messageId"]) == expected(((1, 2, 3, 4),))
    record = service.record("mine")
    assert record.status == "SUCCEEDED"
    length = int((record.result_headers or {})["Inference-Header-Content-Length"])
    assert np.frombuffer((record.result or b"")[length:], np.float32).tolist() == expected(((1, 2, 3, 4),))
    assert record.deadline == record.created_at + TIMEOUT * 1000


def test_a_job_of_an_sdk_that_waited_too_long_is_expired(service: Service, later: Any) -> None:
    message = service.queue.put(request_body().decode())
    later(TIMEOUT + 1)
    assert service.work(*service.waiting()) == []
    assert service.record(message["messageId"]).status == "EXPIRED"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("no json", "not JSON"),
        ("[1]", "a JSON list"),
        ("{}", "a body is expected"),
        ('{"id": "a b", "body": "x"}', "id is 'a b'"),
        ('{"id": "named", "model": 5, "body": "x"}', "the model 5"),
        ('{"id": "two", "body": "x", "body_uri": "s3://a/b"}', "exactly one"),
        ('{"id": "list", "body": [1]}', "body is a list"),
        ('{"id": "b64", "body_base64": "?"}', "body_base64"),
        ('{"id": "headers", "body": "x", "headers": {"a": 1}}', "headers"),
        ('{"id": "deadline", "body": "x", "deadline": "soon"}', "deadline"),
    ],
)
def test_an_unreadable_message_is_a_failed_job(service: Service, body: str, said: str) -> None:
    message = service.queue.put(body)
    assert service.work(*service.waiting()) == []
    named = json.loads(body).get("id") if body.startswith("{") else None
    record = service.record(named if named and named != "a b" else message["messageId"])
    assert record.status == "FAILED"
    assert said in record.error


def test_large_bodies_and_results_go_through_the_bucket(start: Start) -> None:
    service = start(models.identity(shape=["n", 4]))
    rows = [[float(number)] * 4 for number in range(20_000)]
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [len(rows), 4],
        "data": [value for row in rows for value in row],
    }
    status, _, answer = service.request("POST", "", json.dumps({"inputs": [tensor]}).encode())
    assert status == 202
    job = json.loads(answer)["id"]
    messages = service.waiting()
    assert json.loads(messages[0]["body"])["body_uri"] == f"s3://{BUCKET}/jobs/{job}/request"
    assert service.work(*messages) == []
    record = service.record(job)
    assert record.result is None
    assert record.result_uri.startswith(f"s3://{BUCKET}/jobs/{job}/result-")
    assert outputs(service, job) == tensor["data"]


@pytest.mark.parametrize("uri", ["s3://other/key", "file:///etc/passwd", f"s3://{BUCKET}/", f"s3://{BUCKET}/absent"])
def test_a_body_that_is_not_in_the_bucket(service: Service, uri: str) -> None:
    message = service.queue.put(json.dumps({"body_uri": uri}))
    assert service.work(*service.waiting()) == []
    record = service.record(message["messageId"])
    assert record.status == "FAILED"
    assert uri in record.error


def test_a_model_that_is_not_ready_is_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_ready(served: Any) -> Any:
        raise ModelNotReady("the bucket does not answer")

    _, submitted = service.submit()
    (message,) = service.waiting()
    with monkeypatch.context() as patched:
        patched.setattr(service.worker._worker._repository, "loaded", not_ready)
        assert service.work(message) == [message["messageId"]]
    record = service.record(submitted["id"])
    assert (record.status, record.last_error) == ("RUNNING", "the bucket does not answer")
    assert service.work(message) == []
    assert service.record(submitted["id"]).last_error == ""


def test_a_wrong_environment_is_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that is mended finds the jobs where they were; one that is not, leaves the cause."""
    _, submitted = service.submit()
    (message,) = service.waiting()
    monkeypatch.delenv("MODEL_PATH")
    broken = queue.Handler(service.clients)
    assert broken.handle(delivered(message), context())["batchItemFailures"]
    assert "MODEL_PATH is not set" in service.record(submitted["id"]).last_error
    assert service.work(message) == []
    assert service.record(submitted["id"]).status == "SUCCEEDED"


def test_a_slow_batch_is_no_reason_to_hand_back_later_ones(service: Service) -> None:
    """Else one slow start would have an environment hand back every batch until its jobs are given up."""
    service.worker._slowest = 100.0  # as a batch would leave it that took so long
    service.submit(job="later")
    assert service.work(*service.waiting(), seconds=10.0) == []
    assert service.record("later").status == "SUCCEEDED"


def test_no_work_is_begun_that_does_not_fit_the_time(service: Service) -> None:
    submitted(service, 3)
    messages = service.waiting()
    assert service.work(*messages, seconds=1.0) == [message["messageId"] for message in messages]
    assert {service.record(json.loads(message["body"])["id"]).status for message in messages} == {"QUEUED"}
    assert service.work(*messages) == []


def test_a_warm_event_is_answered(service: Service) -> None:
    event = {"source": "cdk-onnx-inference.warmer", "hold_ms": 1}
    assert service.worker.handle(event, context())["model_ready"]
    assert service.worker.handle(event, context())["warm"]


def test_an_event_that_is_no_batch(service: Service) -> None:
    with pytest.raises(ValueError, match="not a batch"):
        service.worker.handle({"version": "2.0"}, context())
    assert service.worker.handle(delivered(), context()) == {"batchItemFailures": []}


def test_a_throttled_statement_is_tried_by_itself(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB answers for each statement of a call, and botocore repeats only whole calls."""
    client = service.clients.get("dynamodb")
    real = client.batch_execute_statement
    throttled = {"Error": {"Code": "ThrottlingError", "Message": "slow down"}}

    def some(Statements: Any) -> Any:  # noqa: N803 - boto3's
        answer = real(Statements=Statements[1:])
        return {"Responses": [throttled, *answer["Responses"]]}

    submitted_jobs = submitted(service, 4)
    monkeypatch.setattr(client, "batch_execute_statement", some)
    assert service.work(*service.waiting()) == []
    assert {service.record(job).status for job in submitted_jobs} == {"SUCCEEDED"}


def test_what_a_call_of_many_is_not_allowed_is_done_one_by_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    def denied(Statements: Any) -> Any:  # noqa: N803 - boto3's
        raise ClientError({"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "")

    submitted_jobs = submitted(service, 4)
    monkeypatch.setattr(service.clients.get("dynamodb"), "batch_execute_statement", denied)
    assert service.work(*service.waiting()) == []
    assert {service.record(job).status for job in submitted_jobs} == {"SUCCEEDED"}
