"""Every job is counted once with its final status, by the command that wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.runtime.jobs.conftest import TIMEOUT, Service, context, request_body


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """The sums of the metrics since the last call."""
    total: dict[str, int] = {}
    for line in capsys.readouterr().out.splitlines():
        document = json.loads(line) if line.startswith('{"_aws"') else {}
        for declared in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            for metric in declared["Metrics"]:
                if metric["Unit"] == "Count" and metric["Name"].startswith("Jobs"):
                    total[metric["Name"]] = total.get(metric["Name"], 0) + document[metric["Name"]]
    return total


def test_jobs_that_were_given_up(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.submit()
    (message,) = service.waiting()
    never_recorded = service.queue.put(json.dumps({"id": "unknown", "body": "{}"}))
    capsys.readouterr()
    service.bury(message, never_recorded)
    assert counted(capsys) == {"JobsFailed": 2}
    service.bury(message, never_recorded)
    assert counted(capsys) == {}


def test_jobs_that_the_sweeper_finds(service: Service, later: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        service.submit(Job_Timeout="5")
    later(6)
    capsys.readouterr()
    service.sweeper.handle({}, context())
    assert counted(capsys) == {"JobsExpired": 3}
    service.sweeper.handle({}, context())
    assert counted(capsys) == {}


def test_jobs_whose_reader_comes_first(service: Service, later: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, submitted = service.submit(Job_Timeout="5")
    later(6)
    capsys.readouterr()
    for _ in range(2):
        service.show(submitted["id"])
    service.sweeper.handle({}, context())
    assert counted(capsys) == {"JobsExpired": 1}


def test_every_end_is_counted(service: Service, later: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [service.submit(Job_Timeout="60")[1]["id"] for _ in range(6)]
    messages = service.waiting()
    capsys.readouterr()
    service.work(messages[0], dict(messages[0]), service.queue.put("unreadable"))
    service.bury(messages[1])
    later(61)
    service.show(ids[2])
    service.work(messages[3])
    service.sweeper.handle({}, context())
    assert counted(capsys) == {
        "JobsSucceeded": 1, "JobsDropped": 1, "JobsFailed": 2, "JobsExpired": 4
    }  # fmt: skip


def test_jobs_that_were_overdue_before_they_had_a_record(
    service: Service, later: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    message = service.queue.put(request_body().decode())
    later(TIMEOUT + 1)
    service.work(message, dict(message))
    assert counted(capsys) == {"JobsExpired": 1, "JobsDropped": 1}
    assert service.record(message["messageId"]).status == "EXPIRED"
