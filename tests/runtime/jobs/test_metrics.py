"""Each job that has got a final status is counted once, by whoever wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.runtime.jobs.conftest import Service, context


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """What the embedded metric lines since the last call add up to."""
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
