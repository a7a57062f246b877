"""The consumer of the dead-letter queue: the job fails with its cause, and the parked message may revive it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnx_handler.jobs import lifecycle
from tests.runtime.jobs.conftest import TIMEOUT, Service, context, request_body, throttled
from tests.support import events


def test_dead_letters_say_why_and_can_be_sent_again(service: Service) -> None:
    _, submitted = service.submit()
    job = submitted["id"]
    (message,) = service.waiting()
    service.table.change(lifecycle.start(job, 1, lifecycle.now()))
    service.table.change(lifecycle.note(job, "ThrottlingException: the true cause"))
    assert service.bury(message) == []
    record = service.record(job)
    assert (record.status, record.error) == ("FAILED", "ThrottlingException: the true cause")
    assert service.request("GET", f"/{job}/result")[0] == 410
    (parked,) = service.parked()
    again = service.queue.put(parked["body"])
    twice = service.queue.put(parked["body"])
    service.waiting()
    assert service.work(again) == []
    record = service.record(job)
    assert (record.status, record.error) == ("SUCCEEDED", "")
    runs = service.worker._worker._batching.runs
    assert service.work(twice) == []  # it revives the job once
    assert service.worker._worker._batching.runs == runs


def test_a_parked_message_of_an_sdk_has_its_job_and_no_deadline(service: Service, later: Any) -> None:
    message = service.queue.put(request_body().decode())
    service.waiting()
    assert service.bury(message) == []
    assert "never started" in service.record(message["messageId"]).error
    (parked,) = service.parked()
    later(3 * TIMEOUT)
    again = service.queue.put(parked["body"])
    assert service.work(again) == []
    assert service.record(message["messageId"]).status == "SUCCEEDED"


def test_a_dead_letter_of_a_finished_job_is_dropped(service: Service) -> None:
    _, submitted = service.submit()
    (message,) = service.waiting()
    service.work(message)
    assert service.bury(message) == []
    assert service.record(submitted["id"]).status == "SUCCEEDED"
    assert service.parked() == []


def test_an_unreadable_dead_letter_is_kept_as_it_is(service: Service) -> None:
    message = service.queue.put("\x01 no json")
    assert service.bury(message) == []
    record = service.record(message["messageId"])
    assert (record.status, record.model) == ("FAILED", "")
    assert service.show(record.id)[0] == 200
    assert [parked["body"] for parked in service.parked()] == ["\x01 no json"]


def test_a_dead_letter_that_cannot_be_parked_stays(service: Service) -> None:
    _, submitted = service.submit()
    (message,) = service.waiting()
    fine = service.queue.put(json.dumps({"id": "fine", "body": request_body().decode()}))
    service.queue.fault = throttled()
    assert service.bury(message, fine) == [message["messageId"], "message-2"]
    assert service.record(submitted["id"]).status == "FAILED"
    service.queue.fault = None
    assert service.bury(message, fine) == []
    assert len(service.parked()) == 2


def test_an_event_that_is_no_batch(service: Service) -> None:
    with pytest.raises(ValueError, match="not a batch"):
        service.dead_letters.handle(events.http_api("GET", "/", {}, b""), context())
