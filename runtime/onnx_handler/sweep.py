"""The command that expires overdue jobs, on a schedule: `onnx_handler.sweep.handler`.

It writes EXPIRED to open jobs past their deadline. The job API does so too when it reads such a job; this command is
for jobs that nobody asks for, and for the notices that are sent when a record changes.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .aws import PARALLEL, Clients
from .jobs import lifecycle
from .jobs.metrics import JobMetrics
from .jobs.settings import JobSettings, unless_misconfigured
from .jobs.table import KEYS_PER_CALL, JobTable

_log = logging.getLogger("onnx_handler")

# Jobs of one run. The oldest come first, so the next run continues where this one ends.
MOST = 10_000
# A run ends when the function has so many seconds left.
RESERVE = 5.0


class Handler:
    """What one execution environment keeps between runs."""

    def __init__(self, clients: Clients | None = None) -> None:
        settings = JobSettings.from_environment()
        self._metrics = JobMetrics()
        self._table = JobTable(clients or Clients(), settings.table, ThreadPoolExecutor(PARALLEL, "jobs"))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Writes EXPIRED to all overdue jobs, or to as many as there is time for.

        Returns:
            `expired`: how many jobs. `more`: whether overdue jobs may be left.

        Raises:
            Exception: of AWS, if a job could not be written; the jobs before it are EXPIRED.
        """
        now = lifecycle.now()
        expired, seen = 0, 0
        for shard_number in range(lifecycle.OPEN_SHARDS):
            waiting: list[str] = []
            for job in self._table.overdue(shard_number, now, MOST - seen):
                waiting.append(job)
                seen += 1
                if len(waiting) == KEYS_PER_CALL:
                    expired += self._expire(waiting, now)
                    waiting = []
                    if context.get_remaining_time_in_millis() / 1000 < RESERVE:
                        return self._done(expired, True)
            expired += self._expire(waiting, now)
            if seen >= MOST or context.get_remaining_time_in_millis() / 1000 < RESERVE:
                return self._done(expired, True)
        return self._done(expired, False)

    def _expire(self, waiting: list[str], now: int) -> int:
        records = self._table.get_many(waiting).values()  # the index may be behind the table
        overdue = [lifecycle.expire(record, now) for record in records if record.is_overdue(now)]
        outcomes = self._table.change_all(overdue)
        done = sum(outcome.done for outcome in outcomes)
        self._metrics.count(lifecycle.EXPIRED, times=done)
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


handler = unless_misconfigured(lambda: Handler().handle)
