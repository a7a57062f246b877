"""The command of a scheduled function: open jobs past their deadline are written EXPIRED: `onnx_handler.sweep.handler`.

Readers write so themselves; this is for jobs that nobody reads, and for the notices that follow a record.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .aws import PARALLEL, Clients
from .jobs import job_records
from .jobs.job_records import JobTable
from .jobs.metrics import JobMetrics
from .jobs.settings import JobSettings, unless_misconfigured

_log = logging.getLogger("onnx_handler")

# Jobs of one run. The next run takes up where this one ends, because the oldest come first.
MOST = 10_000
# Seconds kept of the function's own.
RESERVE = 5.0


class Room:
    """What one execution environment holds between runs."""

    def __init__(self, clients: Clients | None = None) -> None:
        settings = JobSettings.from_environment()
        self._metrics = JobMetrics()
        self._table = JobTable(clients or Clients(), settings.table, ThreadPoolExecutor(PARALLEL, "jobs"))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Writes EXPIRED to as many jobs as there are, or as there is time for.

        Returns:
            `expired`, how many; `more`, whether some may be left.

        Raises:
            Exception: of AWS, when a job could not be written; whatever went before is done.
        """
        now = job_records.now()
        expired, seen = 0, 0
        for part in range(job_records.OPEN_SHARDS):
            waiting: list[str] = []
            for job in self._table.overdue(part, now, MOST - seen):
                waiting.append(job)
                seen += 1
                if len(waiting) == job_records.KEYS_PER_CALL:
                    expired += self._expire(waiting, now)
                    waiting = []
                    if context.get_remaining_time_in_millis() / 1000 < RESERVE:
                        return self._done(expired, True)
            expired += self._expire(waiting, now)
            if seen >= MOST or context.get_remaining_time_in_millis() / 1000 < RESERVE:
                return self._done(expired, True)
        return self._done(expired, False)

    def _expire(self, waiting: list[str], now: int) -> int:
        records = self._table.get_many(waiting).values()  # the index may lag behind
        overdue = [job_records.expire(record, now) for record in records if record.is_overdue(now)]
        outcomes = self._table.change_all(overdue)
        done = sum(outcome.done for outcome in outcomes)
        self._metrics.count(job_records.EXPIRED, times=done)
        for outcome in outcomes:
            if outcome.error is not None:
                self._metrics.write()
                raise outcome.error
        return done

    def _done(self, expired: int, more: bool) -> dict[str, Any]:
        self._metrics.write()
        if expired or more:
            _log.info("%d jobs expired%s", expired, "; the next run goes on" if more else "")
        return {"expired": expired, "more": more}


handler = unless_misconfigured(lambda: Room().handle)
