"""Hundreds of jobs over an AWS that throttles, breaks, times out, and now and then does what it says it did not do."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from onnx_handler.jobs import lifecycle
from onnx_handler.jobs.lifecycle import Record
from tests.runtime.jobs.conftest import Queue, Start, TestClients, expected, request_body

JOBS = 240
RECEIVES = 5  # then a message is a dead letter


class Faulty(TestClients):
    """Clients whose calls fail at random.

    Args:
        random: decides which.
        share: of the calls that fail.
    """

    def __init__(self, queue: Queue, random: Random, share: float) -> None:
        super().__init__(queue)
        self._random = random
        self.share = share
        self.faults: dict[str, int] = {}

    def _made(self, service: str) -> Any:
        client = super()._made(service)

        def before_send(request: Any, **_: Any) -> Any:
            if self._random.random() >= self.share:
                return None
            kind = self._random.choice(["throttled", "broken", "not connected", "timed out", "answer lost"])
            self.faults[kind] = self.faults.get(kind, 0) + 1
            if kind == "throttled":
                return answer(request.url, 400, b'{"__type": "ThrottlingException", "message": "slow down"}')
            if kind == "broken":
                return answer(request.url, 500, b'{"__type": "InternalServerError", "message": "sorry"}')
            if kind == "not connected":
                raise ConnectTimeoutError(endpoint_url=request.url)
            if kind == "answer lost":
                client._endpoint.http_session.send(request)
            raise ReadTimeoutError(endpoint_url=request.url)

        client.meta.events.register(f"before-send.{service}", before_send)
        return client


def answer(url: str, status: int, body: bytes) -> AWSResponse:
    class Raw(io.BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    return AWSResponse(url, status, {"content-type": "application/x-amz-json-1.0"}, Raw(body))


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_nothing_has_two_results(start: Start, seed: int) -> None:
    random = Random(seed)
    clients = Faulty(Queue(), random, 0.0)
    service = start(clients=clients)
    sent: dict[str, Any] = {}
    bad = set()
    clients.share = 0.15
    for number in range(JOBS):
        job = f"job-{number}"
        rows = [(float(number), 1.0, 2.0, float(row)) for row in range(1 + number % 3)]
        body = request_body(rows)
        if number % 17 == 0:
            bad.add(job)
            body = body.replace(b'"y"', b'"?"').replace(b'"x"', b'"z"')
        sent[job] = rows
        if number % 3 == 0:  # by an SDK, which checks nothing
            service.queue.put(json.dumps({"id": job, "model": "model", "body": body.decode()}))
            continue
        if job in bad:
            status, _, _ = service.request("PUT", f"/{job}", body)
            assert status in (400, 503)
            service.queue.put(json.dumps({"id": job, "body": body.decode()}))
            continue
        while service.request("PUT", f"/{job}", body)[0] == 503:
            pass
    waiting, dead = service.waiting(), []
    first: dict[str, Record] = {}
    for _ in range(1000):
        if not waiting and not dead:
            break
        random.shuffle(waiting)
        batch, waiting = waiting[:40], waiting[40:]
        again = set(service.work(*batch))
        for message in batch:
            received = int(message["attributes"]["ApproximateReceiveCount"])
            if message["messageId"] in again:
                (dead if received >= RECEIVES else waiting).append(message)
            elif random.random() < 0.1 and received < RECEIVES:  # delivered twice, as the queue may
                waiting.append(message)
        if dead:
            failed = set(service.bury(*dead))
            dead = [message for message in dead if message["messageId"] in failed]
        clients.share, share = 0.0, clients.share
        for job, record in service.table.get_many(list(sent)).items():
            if not record.is_open:
                assert first.setdefault(job, record) == record, "a second result"
        clients.share = share
    clients.share = 0.0
    ended = service.table.get_many(list(sent))
    assert ended.keys() == sent.keys()
    counted: dict[str, int] = {}
    for job, record in ended.items():
        counted[record.status] = counted.get(record.status, 0) + 1
        if record.status == lifecycle.SUCCEEDED:
            assert job not in bad
            assert json.loads(record.result or b"")["outputs"][0]["data"] == expected(sent[job])
        else:
            assert record.status == lifecycle.FAILED
            assert record.error
            assert job in bad or any(
                json.loads(parked["body"])["id"] == job for parked in service.queue.sent["https://queue.test/parked"]
            )
    assert set(clients.faults) == {"throttled", "broken", "not connected", "timed out", "answer lost"}
    assert counted[lifecycle.SUCCEEDED] > JOBS * 0.8
    assert service.worker._worker._batching.runs < JOBS
