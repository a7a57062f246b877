"""The commands of async inference, with the table and bucket of the embedded cloud, and a queue of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import onnx
import pytest
from botocore.exceptions import ClientError

from onnx_handler import dead_letters, job_api, queue, sweep
from onnx_handler.aws import Clients
from onnx_handler.jobs import lifecycle
from onnx_handler.jobs.lifecycle import Record
from onnx_handler.jobs.table import OPEN_INDEX, JobTable
from tests.support import events, models

pytest.importorskip("ministack.app")

TABLE, BUCKET, QUEUE, PARKED = "jobs", "payloads", "https://queue.test/jobs", "https://queue.test/parked"
TIMEOUT = 600
SIGNATURES = {
    "models": [
        {
            "name": "model",
            "version": "1",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        }
    ]
}


class Queue:
    """In place of SQS: keeps the messages that the commands send."""

    def __init__(self) -> None:
        self.sent: dict[str, list[dict[str, Any]]] = {QUEUE: [], PARKED: []}
        self.count = 0
        self.fault: Exception | None = None

    def send_message(self, **sent: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self.put(sent["MessageBody"], sent["QueueUrl"], sent.get("MessageAttributes"))

    def put(self, body: str, url: str = QUEUE, attributes: Any = None) -> dict[str, Any]:
        """A message, as an event source mapping hands it on."""
        assert body
        assert len(body) < 1024 * 1024
        self.count += 1
        message = {
            "messageId": f"message-{self.count}",
            "body": body,
            "attributes": {"ApproximateReceiveCount": "0", "SentTimestamp": str(lifecycle.now())},
            "messageAttributes": {
                name: {"stringValue": value["StringValue"], "dataType": "String"}
                for name, value in (attributes or {}).items()
            },
        }
        self.sent[url].append(message)
        return message


class TestClients(Clients):
    """Real clients, except for SQS."""

    __test__ = False

    def __init__(self, queue: Queue, attempts: int = 1) -> None:
        super().__init__(attempts, read_timeout=5.0)
        self.queue = queue

    def get(self, service: str) -> Any:
        return self.queue if service == "sqs" else super().get(service)


def delivered(*messages: dict[str, Any]) -> dict[str, Any]:
    """An event of the event source mapping; each message is delivered once more."""
    for message in messages:
        received = int(message["attributes"]["ApproximateReceiveCount"]) + 1
        message["attributes"] = {**message["attributes"], "ApproximateReceiveCount": str(received)}
    return {"Records": [{"eventSource": "aws:sqs", **message} for message in messages]}


def context(seconds: float = 60) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000, aws_request_id="id")


class Service:
    """One service of async inference."""

    def __init__(self, clients: TestClients) -> None:
        self.clients = clients
        self.queue = clients.queue
        self.api = job_api.Handler(clients)
        self.worker = queue.Handler(clients)
        self.dead_letters = dead_letters.Handler(clients)
        self.sweeper = sweep.Handler(clients)
        self.table = JobTable(clients, TABLE)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, query: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        event = events.http_api(method, f"/v2/models/model/jobs{path}", headers or {}, body)
        return events.answered(self.api.handle({**event, "rawQueryString": query}, context()))

    def submit(self, rows: Any = ((1, 2, 3, 4),), job: str | None = None, **headers: str) -> tuple[int, Any]:
        body = request_body(rows)
        asked = {name.replace("_", "-"): value for name, value in headers.items()}
        status, _, answer = (
            self.request("POST", "", body, asked) if job is None else self.request("PUT", f"/{job}", body, asked)
        )
        return status, json.loads(answer)

    def show(self, job: str, query: str = "") -> tuple[int, Any]:
        status, _, answer = self.request("GET", f"/{job}", query=query)
        return status, json.loads(answer)

    def waiting(self) -> list[dict[str, Any]]:
        """Takes all messages from the queue."""
        waiting = self.queue.sent[QUEUE]
        self.queue.sent[QUEUE] = []
        return waiting

    def parked(self) -> list[dict[str, Any]]:
        parked = self.queue.sent[PARKED]
        self.queue.sent[PARKED] = []
        return parked

    def work(self, *messages: dict[str, Any], seconds: float = 60) -> list[str]:
        """Has the worker take a batch, and returns the ids of those that it hands back."""
        answer = self.worker.handle(delivered(*messages), context(seconds))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def bury(self, *messages: dict[str, Any]) -> list[str]:
        answer = self.dead_letters.handle(delivered(*messages), context())
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def record(self, job: str) -> Record:
        record = self.table.get(job)
        assert record is not None
        return record

    def object(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self.clients.get("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


def throttled() -> ClientError:
    """The error of a call that AWS throttled."""
    error = {"Error": {"Code": "ThrottlingException", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(error, "SendMessage")


def request_body(rows: Any = ((1, 2, 3, 4),), **members: Any) -> bytes:
    flat = [value for row in rows for value in row]
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 4], "data": flat}
    return json.dumps({"inputs": [tensor], **members}).encode()


def expected(rows: Any) -> list[float]:
    """The output of `models.matmul()` for these rows."""
    return [float(sum(row[k] * (3 * k + column) for k in range(4))) for row in rows for column in range(3)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Any]:
    """DynamoDB's client, of a cloud that has a bucket and no table."""
    from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud

    embedded = EmbeddedCloud(lambda arn, payload: pytest.fail("nothing is invoked"))
    embedded.start()
    credentials = embedded.credentials()
    embedded.client("s3").create_bucket(Bucket=BUCKET)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", embedded.endpoint_url)
        environment.setenv("AWS_ACCESS_KEY_ID", credentials.access_key_id)
        environment.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key)
        environment.setenv("AWS_DEFAULT_REGION", credentials.region)
        environment.setenv("AWS_REGION", credentials.region)
        yield embedded.client("dynamodb")
    embedded.stop()


def create_table(dynamodb: Any) -> None:
    """The table as the construct makes it."""
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "open", "AttributeType": "S"},
            {"AttributeName": "deadline", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": OPEN_INDEX,
                "KeySchema": [
                    {"AttributeName": "open", "KeyType": "HASH"},
                    {"AttributeName": "deadline", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


Start = Callable[..., Service]


@pytest.fixture
def table(cloud: Any) -> Iterator[None]:
    """An empty table."""
    create_table(cloud)
    yield
    cloud.delete_table(TableName=TABLE)


@pytest.fixture
def start(table: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A service of a model: `start(models.matmul())`, with `processing=` source text and any environment variable."""

    def make(
        model: onnx.ModelProto | None = None,
        processing: str | None = None,
        clients: TestClients | None = None,
        **environment: str,
    ) -> Service:
        models.save(model or models.matmul(), tmp_path / "model")
        (tmp_path / "signatures.json").write_text(json.dumps(SIGNATURES))
        defaults = {
            "LAMBDA_TASK_ROOT": str(tmp_path),
            "MODEL_PATH": "model",
            "AWS_LAMBDA_FUNCTION_NAME": "worker",
            "JOBS_TABLE_NAME": TABLE,
            "JOBS_QUEUE_URL": QUEUE,
            "PARKED_QUEUE_URL": PARKED,
            "PAYLOAD_BUCKET_NAME": BUCKET,
            "JOB_TIMEOUT": str(TIMEOUT),
            "JOB_RETENTION": "3600",
            "MICRO_BATCH_SIZE": "8",
        }
        if model is None:
            defaults["MODEL_SIGNATURES"] = "signatures.json"
        if processing is not None:
            (tmp_path / "processing.py").write_text(processing)
            defaults["PROCESSING_PATH"] = "processing.py"
        for name, value in {**defaults, **environment}.items():
            monkeypatch.setenv(name, value)
        return Service(clients or TestClients(Queue()))

    return make


@pytest.fixture
def service(start: Start) -> Service:
    return start()


@pytest.fixture
def later() -> Iterator[Callable[[float], None]]:
    """Moves the clock of the records forward, by seconds."""
    shift = [0]
    real = lifecycle.now
    with patch.object(lifecycle, "now", lambda: real() + shift[0]):
        yield lambda seconds: shift.__setitem__(0, shift[0] + int(seconds * 1000))
