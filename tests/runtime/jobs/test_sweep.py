"""The sweeper: overdue jobs become EXPIRED, as many as there is time for."""

from __future__ import annotations

from typing import Any

import pytest

from onnx_handler import sweep
from tests.runtime.jobs.conftest import Service, context


def test_sweeping(service: Service, later: Any) -> None:
    many = [service.submit(Job_Timeout="5")[1]["id"] for _ in range(60)]
    kept = [service.submit()[1]["id"] for _ in range(3)]
    assert service.sweeper.handle({}, context()) == {"expired": 0, "more": False}
    later(6)
    assert service.sweeper.handle({}, context()) == {"expired": 60, "more": False}
    assert {service.record(job).status for job in many} == {"EXPIRED"}
    assert {service.record(job).status for job in kept} == {"QUEUED"}
    assert service.sweeper.handle({}, context()) == {"expired": 0, "more": False}


def test_sweeping_is_bounded(service: Service, later: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        service.submit(Job_Timeout="5")
    later(6)
    monkeypatch.setattr(sweep, "MOST", 7)
    done = []
    while (run := service.sweeper.handle({}, context()))["expired"]:
        assert run["expired"] <= 7
        done.append(run["expired"])
    assert sum(done) == 20
    assert service.sweeper.handle({}, context(1))["more"]
