"""The command that consumes the dead-letter queue: `onnx_handler.dead_letters.handler`.

A message that was delivered as often as the queue allows, without an answer, makes its job FAILED. The error is the one
that the worker wrote to the record, if there is one. The message then goes to the queue of parked messages. Sent back
from there to the job queue, unchanged, it revives the job, once. The message of a finished job is dropped.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from .aws import Clients
from .jobs import lifecycle, messages
from .jobs.lifecycle import Record
from .jobs.messages import Message, UnreadableMessage
from .jobs.metrics import JobMetrics
from .jobs.settings import JobSettings, unless_misconfigured
from .jobs.table import JobTable

_log = logging.getLogger("onnx_handler")

# In place of the name of the service's only model, which this function does not know.
_UNNAMED = "?"
# The error of a job whose record does not exist or has no attempt.
_NEVER_STARTED = "its message was delivered as often as the queue allows, and the job was never started"


class Handler:
    """What one execution environment keeps between batches."""

    def __init__(self, clients: Clients | None = None) -> None:
        self._settings = JobSettings.from_environment(os.environ, "PARKED_QUEUE_URL")
        self._clients = clients or Clients()
        self._table = JobTable(self._clients, self._settings.table)
        self._metrics = JobMetrics()

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Ends the jobs of one batch of dead letters.

        Raises:
            ValueError: it is another event.
        """
        again = []
        for record in messages.records(event):
            try:
                self._bury(record)
            except Exception:
                _log.exception("message %s stays in the dead-letter queue for now", record["messageId"])
                again.append({"itemIdentifier": record["messageId"]})
        self._metrics.write()
        return {"batchItemFailures": again}

    def _bury(self, delivered: dict[str, Any]) -> None:
        message_id, text = str(delivered["messageId"]), str(delivered.get("body", ""))
        attributes = delivered.get("messageAttributes") or {}
        now = lifecycle.now()
        sent = int((delivered.get("attributes") or {}).get("SentTimestamp") or now)
        message: Message | None = None
        try:
            named = (attributes.get("model") or {}).get("stringValue") or _UNNAMED
            message = messages.read(text, message_id, named)
            if message.model == _UNNAMED:
                message = message._replace(model="")
            job, model, version = message.id, message.model, message.version or ""
        except UnreadableMessage as error:
            job, model, version = error.id or message_id, error.model, ""
            _log.warning("message %s: %s", message_id, error)
            if model == _UNNAMED:
                model = ""
        record = self._table.get(job)
        if record is None:
            made = Record(job, model, version, lifecycle.FAILED, sent, now, parked=message_id)
            made = made._replace(
                deadline=sent + self._settings.timeout * 1000,
                expires_at=now // 1000 + self._settings.timeout + self._settings.retention,
                error=_NEVER_STARTED,
            )
            record = self._table.create(made) or made
            if record is made:
                self._metrics.count(lifecycle.FAILED)
        if record.is_open:
            outcome = self._table.change(lifecycle.fail(job, now, _cause(record), message_id))
            if outcome.error is not None:
                raise outcome.error
            if outcome.done:
                self._metrics.count(lifecycle.FAILED)
            record = self._table.get(job) or record
        # If an earlier attempt could not park the message, the record has this message's id already.
        if record.status == lifecycle.FAILED and record.parked == message_id:
            _log.error("job %s failed: %s", job, record.error)
            self._park(text, message, attributes, message_id)
        else:
            _log.info("job %s is %s already", job, record.status)

    def _park(self, text: str, message: Message | None, attributes: dict[str, Any], mark: str) -> None:
        sent = text
        if message is not None:
            # Its deadline will be past when the message is sent again: without one, the job gets a new deadline.
            sent = messages.write(message._replace(deadline=0, parked=mark))
        self._clients.get("sqs").send_message(
            QueueUrl=self._settings.parked_queue_url,
            MessageBody=sent,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value["stringValue"]}
                for name, value in attributes.items()
                if value.get("stringValue")
            },
        )


def _cause(record: Record) -> str:
    if record.last_error:
        return record.last_error
    if record.attempts:
        times = "once" if record.attempts == 1 else f"{record.attempts} times"
        return (
            f"the job was started {times} and gave no answer: the function's time or memory did not suffice, or the "
            "model ended the process"
        )
    return _NEVER_STARTED


handler = unless_misconfigured(lambda: Handler().handle)
