# ruff: noqa: E402 - what is ahead of the imports is there to make them faster
"""The command of the worker, a function behind a job queue: `onnx_handler.queue.handler`.

It takes a batch of messages and returns the ids of those to be delivered again (`batchItemFailures`); the event source
mapping deletes the others. What happens to a message:

    the job is done, or its request is wrong    the record becomes SUCCEEDED or FAILED; the message is deleted
    the job was finished before, or is overdue  the record stays, or becomes EXPIRED; the message is deleted
    AWS did not answer, or time ran out         the record gets the error; the message is delivered again, and in the
                                                end moved to the dead-letter queue
    the process died                            the message is delivered again, after the queue's visibility timeout

A job can kill the process, and then all messages of the batch are delivered again. So jobs that were started before
without an answer or an error run after the others, one at a time, the least often started first: the job that kills
the process runs last, and takes no other job with it.
"""

from __future__ import annotations

import gc
import os

gc.disable()  # what imports create stays; collections would take 7 % of the imports' time
from .storage import prefetch

prefetch.start(os.environ)  # brings the model while the modules below are imported

# isort: split
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any

from .aws import PARALLEL, Clients
from .errors import ModelUnusable
from .jobs import messages
from .jobs.settings import JobSettings, unless_misconfigured
from .jobs.table import STATEMENTS_PER_CALL
from .jobs.worker import Delivery, Worker
from .models.repository import Repository
from .protocol.events import WARMER
from .settings import Settings

_log = logging.getLogger("onnx_handler")

# Seconds of the function's timeout that are kept for writing results: no job is started later.
RESERVE = 2.0


class Handler:
    """What one execution environment keeps between batches.

    Args:
        clients: for AWS.
    """

    def __init__(self, clients: Clients | None = None) -> None:
        settings = JobSettings.from_environment(os.environ, "PAYLOAD_BUCKET_NAME")
        try:
            repository = Repository(Settings.all_from_environment())
        except ModelUnusable as cause:  # every job is handed back, and runs when the function is repaired
            _log.error("the function's environment is wrong: %s", cause)
            repository = Repository([], str(cause))
        self._repository = repository
        self._cold = True
        initialization_type = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        if initialization_type != "on-demand":
            from .cold_start.initialisation import complete

            complete(initialization_type, repository)
        # Two pools, because a stage waits for calls that it puts into the second one.
        self._stages = ThreadPoolExecutor(2, "stages")
        self._worker = Worker(settings, repository, clients or Clients(), ThreadPoolExecutor(PARALLEL, "payloads"))
        self._chunk = -(-STATEMENTS_PER_CALL // settings.micro_batch_size) * settings.micro_batch_size
        self._slowest = 0.0

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Works on one batch, or answers a warm event.

        Raises:
            ValueError: it is another event.
        """
        first, self._cold = self._cold, False
        self._slowest = 0.0  # a slow batch must not have jobs of later batches handed back
        if isinstance(event, dict) and event.get("source") == WARMER:
            from .cold_start.warm import answer

            return answer(event, context, self._repository, first=first)
        records = messages.records(event)
        deliveries = [Delivery(record) for record in records]
        readable = [one for one, record in zip(deliveries, records, strict=True) if self._worker.read(one, record)]
        fresh, before = self._apart(readable)
        self._together(fresh, context)
        for delivery in before:
            self._together([delivery], context)
        self._worker.close()
        return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in deliveries if one.again]}

    def _apart(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
        """The jobs that may run together, and the jobs that run one at a time after them."""
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
            # A job that was never started cannot have killed the process, nor one whose last attempt left an error.
            started = record is not None and record.attempts > 0 and not record.last_error
            if delivery.again:
                continue
            if started or delivery.job.id in fresh:  # the same job twice in a batch: the second one is finished by then
                before.append(delivery)
            else:
                fresh[delivery.job.id] = delivery
        # Ordered by model, so that few models are needed at a time.
        together = sorted(fresh.values(), key=lambda one: (one.job.model, one.job.version or ""))
        return together, sorted(before, key=lambda one: one.attempt)

    def _together(self, deliveries: Sequence[Delivery], context: Any) -> None:
        """Works on chunks of jobs: while one chunk runs, the next one is started and the one before is written."""
        chunks = [deliveries[at : at + self._chunk] for at in range(0, len(deliveries), self._chunk)]
        finishing: list[Future[None]] = []
        starting: Future[list[Delivery]] | None = None
        for index, chunk in enumerate(chunks):
            began = monotonic()
            if starting is None:
                if self._is_short(context):
                    self._worker.hand_back([one for rest in chunks[index:] for one in rest], _OutOfTime())
                    break
                starting = self._stages.submit(self._worker.start, chunk)
            started = starting.result()
            starting = None
            if index + 1 < len(chunks) and not self._is_short(context):
                starting = self._stages.submit(self._worker.start, chunks[index + 1])
            self._worker.run(started)
            finishing.append(self._stages.submit(self._worker.finish, started))
            self._slowest = max(self._slowest, monotonic() - began)
        for written in finishing:
            written.result()

    def _is_short(self, context: Any) -> bool:
        remaining: float = context.get_remaining_time_in_millis() / 1000
        return remaining < RESERVE + 2 * self._slowest


class _OutOfTime(Exception):
    def __str__(self) -> str:
        return "the function's time did not suffice for the whole batch"


handler = unless_misconfigured(lambda: Handler().handle)
gc.freeze()
gc.enable()
