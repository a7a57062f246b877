# ruff: noqa: E402 - what is ahead of the imports is there to make them faster
"""The worker: the command of a function behind a job queue: `onnx_handler.queue.handler`.

A batch of messages in, the ids of those that are to be delivered again out (`batchItemFailures`); the event source
mapping deletes the others. What becomes of a message:

    the job is done, or wrong in itself   its record says SUCCEEDED or FAILED; deleted
    it was finished before, is overdue    its record stays, or says EXPIRED; deleted
    AWS did not answer, time ran out      its record has the error; delivered again, in the end as a dead letter
    the process died                      the same, by the queue's visibility timeout

A job can kill the process, and then all jobs of its batch are delivered again. So jobs that were started before, and
whose attempt did not end in order, are run after the others and one at a time, those first that were started least
often: the job that kills is then the last one, and no other shares its fate.
"""

from __future__ import annotations

import gc

gc.disable()  # what imports make stays, and to look through it again and again takes 7 % of their time
from .storage import prefetch  # noqa: F401 - begins to bring the model, in the time that the imports below take

# isort: split
import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any

from .aws import PARALLEL, Clients
from .errors import ModelUnusable
from .jobs.job_records import STATEMENTS_PER_CALL
from .jobs.job_worker import Delivery, Worker
from .jobs.settings import JobSettings, unless_misconfigured
from .models.repository import Repository
from .protocol.events import WARMER
from .settings import Settings

_log = logging.getLogger("onnx_handler")

# Seconds. No work is begun that may not be written any more.
RESERVE = 2.0


class Room:
    """What one execution environment holds between batches.

    Args:
        clients: for AWS.
    """

    def __init__(self, clients: Clients | None = None) -> None:
        settings = JobSettings.from_environment(os.environ, "PAYLOAD_BUCKET_NAME")
        try:
            repository = Repository(Settings.all_from_environment())
        except ModelUnusable as cause:  # every job is handed back with it, and is there when the function is mended
            _log.error("the function's environment is wrong: %s", cause)
            repository = Repository([], str(cause))
        self._repository = repository
        self._cold = True
        initialization_type = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        if initialization_type != "on-demand":
            from .cold_start.initialisation import complete

            complete(initialization_type, repository)
        # Two pools: a stage waits for what it has put into the other.
        self._stages = ThreadPoolExecutor(2, "stages")
        self._worker = Worker(settings, repository, clients or Clients(), ThreadPoolExecutor(PARALLEL, "payloads"))
        self._chunk = -(-STATEMENTS_PER_CALL // settings.micro_batch_size) * settings.micro_batch_size
        self._slowest = 0.0

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Works on one batch, or answers a warm event.

        Raises:
            ValueError: it is neither.
        """
        first, self._cold = self._cold, False
        self._slowest = 0.0  # one slow batch is no reason to hand back all later ones
        if isinstance(event, dict) and event.get("source") == WARMER:
            from .cold_start.warm import answer

            return answer(event, context, self._repository, first=first)
        records = event.get("Records") if isinstance(event, dict) else None
        if not isinstance(records, list) or not all(isinstance(one, dict) and "messageId" in one for one in records):
            got = sorted(event)[:8] if isinstance(event, dict) else type(event).__name__
            raise ValueError(f"not a batch of an SQS queue (got {got}): an event source mapping invokes this command")
        deliveries = [Delivery(record) for record in records]
        readable = [one for one, record in zip(deliveries, records, strict=True) if self._worker.read(one, record)]
        fresh, before = self._apart(readable)
        self._together(fresh, context)
        for delivery in before:
            self._together([delivery], context)
        self._worker.close()
        return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in deliveries if one.again]}

    def _apart(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
        """Jobs that may be run together, and jobs to be run alone after them."""
        fresh: dict[str, Delivery] = {}
        before: list[Delivery] = []
        records = {}
        if again := [one.job.id for one in deliveries if one.received > 1]:
            try:
                records = self._worker.table.get_many(again)
            except Exception as error:
                self._worker.hand_back([one for one in deliveries if one.received > 1], error)
        for delivery in deliveries:
            record = records.get(delivery.job.id)
            if record is not None:
                delivery.attempt = record.attempts + 1
            # One that never began has done no harm, nor has one whose last attempt ended in order.
            started = record is not None and record.attempts > 0 and not record.last_error
            if delivery.again:
                continue
            if started or delivery.job.id in fresh:  # the same job twice in a batch: the second finds it finished
                before.append(delivery)
            else:
                fresh[delivery.job.id] = delivery
        # Models side by side in the order of their names, so that few of them are needed at a time.
        together = sorted(fresh.values(), key=lambda one: (one.job.model, one.job.version or ""))
        return together, sorted(before, key=lambda one: one.attempt)

    def _together(self, deliveries: Sequence[Delivery], context: Any) -> None:
        """Works on chunks of jobs; while one is run, the next is taken on and the one before is written."""
        chunks = [deliveries[at : at + self._chunk] for at in range(0, len(deliveries), self._chunk)]
        finishing: list[Future[None]] = []
        taking: Future[list[Delivery]] | None = None
        for index, chunk in enumerate(chunks):
            began = monotonic()
            if taking is None:
                if self._is_short(context):
                    self._worker.hand_back([one for rest in chunks[index:] for one in rest], _OutOfTime())
                    break
                taking = self._stages.submit(self._worker.take, chunk)
            taken = taking.result()
            taking = None
            if index + 1 < len(chunks) and not self._is_short(context):
                taking = self._stages.submit(self._worker.take, chunks[index + 1])
            self._worker.run(taken)
            finishing.append(self._stages.submit(self._worker.finish, taken))
            self._slowest = max(self._slowest, monotonic() - began)
        for written in finishing:
            written.result()

    def _is_short(self, context: Any) -> bool:
        remaining: float = context.get_remaining_time_in_millis() / 1000
        return remaining < RESERVE + 2 * self._slowest


class _OutOfTime(Exception):
    def __str__(self) -> str:
        return "the function's time did not suffice for the whole batch"


handler = unless_misconfigured(lambda: Room().handle)
gc.freeze()
gc.enable()
