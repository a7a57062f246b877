"""A job's record in any order of events: no change that is not allowed, no job that stays open."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from onnx_handler.jobs import lifecycle
from onnx_handler.jobs.lifecycle import CANCELLED, EXPIRED, FAILED, OPEN, QUEUED, RUNNING, SUCCEEDED, Record
from onnx_handler.jobs.worker import Worker
from tests.runtime.jobs.conftest import TABLE, Service, Start, context, expected

NAMES = ("a", "b", "c")
# Each step is a few calls of the cloud's, so a failure is shown as it was found: to make it smaller takes minutes.
SETTINGS = settings(
    max_examples=20, stateful_step_count=20, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
AFTER = {
    None: {QUEUED, RUNNING, SUCCEEDED, FAILED, EXPIRED},
    QUEUED: {QUEUED, RUNNING, SUCCEEDED, FAILED, EXPIRED, CANCELLED},
    RUNNING: {RUNNING, SUCCEEDED, FAILED, EXPIRED, CANCELLED},
}


class Crash(BaseException):
    """The process ends here."""


class Life(RuleBasedStateMachine):
    """Submissions, deliveries, duplicates, crashes, cancellations, time, sweeps, dead letters, redrives.

    Attributes:
        queue: messages that may still be delivered, each any number of times.
        parked: messages that may be sent again.
        before: the records after the last step.
    """

    service: Service
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self.prefix = f"example-{self.examples}-"
        self.queue: list[dict[str, Any]] = []
        self.parked: list[dict[str, Any]] = []
        self.before: dict[str, Record] = {}
        self.ran: list[str] = []
        self.revived: set[str] = set()
        self.clock = 0
        self.real_now = lifecycle.now
        self.patches = [
            patch.object(lifecycle, "now", lambda: self.real_now() + self.clock),
            patch.object(Worker, "run", self._counted(Worker.run)),
        ]
        for each in self.patches:
            each.start()
        self.service.waiting()
        self.service.parked()

    def _counted(self, run: Any) -> Any:
        def counted(worker: Any, started: Any) -> None:
            self.ran += [delivery.job.id for delivery in started if delivery.answer is None]
            run(worker, started)

        return counted

    # -- what happens ---------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), good=st.booleans(), timeout=st.sampled_from([5, 100]))
    def submit(self, name: str, good: bool, timeout: int) -> None:
        job = self.prefix + name
        rows = [(1, 2, 3, float(NAMES.index(name)) if good else 77)]
        status, _ = self.service.submit(rows, job=job, Job_Timeout=str(timeout))
        there = self.before.get(job)
        assert status in ({202} if there is None else {200, 202, 409})
        self.queue += self.service.waiting()

    @rule(name=st.sampled_from(NAMES))
    def put_by_an_sdk(self, name: str) -> None:
        rows = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, NAMES.index(name)]}]}
        self.queue.append(self.service.queue.put(json.dumps({"id": self.prefix + name, "body": json.dumps(rows)})))
        self.service.waiting()

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), keep=st.booleans(), crash=st.sampled_from(["", "", "", "start", "run", "finish"]))
    def deliver(self, data: Any, keep: bool, crash: str) -> None:
        """Some messages, maybe to be delivered again although they were done, maybe to a process that dies."""
        chosen = data.draw(st.lists(st.sampled_from(range(len(self.queue))), min_size=1, unique=True))
        batch = [self.queue[index] for index in chosen]
        for message in batch:
            if (mark := json.loads(message["body"]).get("parked")) is not None:
                record = self.before.get(json.loads(message["body"])["id"])
                if record is not None and record.parked == mark:
                    self.revived.add(record.id)
        with patch.object(Worker, crash or "nothing", _crash, create=True):
            try:
                again = self.service.work(*batch)
            except Crash:
                again = [message["messageId"] for message in batch]
        assert crash or not again
        if not keep:
            self.queue = [one for one in self.queue if one not in batch or one["messageId"] in again]

    @rule(name=st.sampled_from(NAMES))
    def cancel(self, name: str) -> None:
        status, _, _ = self.service.request("DELETE", f"/{self.prefix}{name}")
        record = self.before.get(self.prefix + name)
        assert status in (
            {404} if record is None else {200, 409} if record.is_open else {200 if record.status == CANCELLED else 409}
        )

    @rule(seconds=st.sampled_from([1, 4, 31, 700]))
    def wait(self, seconds: int) -> None:
        self.clock += seconds * 1000

    @rule()
    def sweep(self) -> None:
        self.service.sweeper.handle({}, context())
        for record in self._records().values():
            assert not record.is_overdue(lifecycle.now())

    @rule(name=st.sampled_from(NAMES))
    def show(self, name: str) -> None:
        status, record = self.service.show(self.prefix + name)
        assert (status == 404) == (self.prefix + name not in self.before)
        assert status == 404 or record["status"] not in OPEN or record["deadline"] > lifecycle.now() - 1000

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def give_up(self, data: Any) -> None:
        """A message becomes a dead letter."""
        message = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))
        assert self.service.bury(message) == []
        self.parked += self.service.parked()
        record = self.service.record(json.loads(message["body"])["id"])
        assert not record.is_open

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def redrive(self, data: Any) -> None:
        message = self.parked[data.draw(st.integers(0, len(self.parked) - 1))]
        self.queue.append(self.service.queue.put(message["body"]))
        self.service.waiting()

    # -- what holds -----------------------------------------------------------------------------------------------

    def _records(self) -> dict[str, Record]:
        return self.service.table.get_many([self.prefix + name for name in NAMES])

    @invariant()
    def only_allowed_changes(self) -> None:
        records = self._records()
        assert records.keys() >= self.before.keys()
        for job, record in records.items():
            before = self.before.get(job)
            if before is None or before.is_open:
                assert record.status in AFTER[before.status if before else None]
            elif job in self.revived:
                assert (before.status, before.parked) == (FAILED, before.parked)
            else:
                assert record == before, "a finished job changed"
                assert job not in self.ran, "a finished job ran again"
        self.before, self.ran = records, []
        self.revived.clear()
        self._members_fit_the_status()

    def _members_fit_the_status(self) -> None:
        for record in self.before.values():
            item = self.service.clients.get("dynamodb").get_item(TableName=TABLE, Key={"id": {"S": record.id}})["Item"]
            assert ("open" in item) == record.is_open
            assert (record.result is not None) == (record.status == SUCCEEDED)
            assert bool(record.error) == (record.status in (FAILED, EXPIRED, CANCELLED))
            if record.status == SUCCEEDED:
                last = float(NAMES.index(record.id[-1]))
                data = json.loads(record.result or b"")["outputs"][0]["data"]
                assert data in (expected([(1, 2, 3, last)]), expected([(1, 2, 3, 77)]))

    def teardown(self) -> None:
        """However it came about, no job stays unfinished."""
        try:
            self.clock += 2_000_000
            self.service.sweeper.handle({}, context())
            assert all(not record.is_open for record in self._records().values())
        finally:
            for each in self.patches:
                each.stop()


def _crash(*_: Any) -> Any:
    raise Crash


def test_the_life_of_a_job(start: Start) -> None:
    machine = type("Life", (Life,), {"service": start()})
    run_state_machine_as_test(machine, settings=SETTINGS)
