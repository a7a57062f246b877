"""The command that consumes the dead-letter queue: `onnx_handler.dead_letters.handler`.

A message that was delivered as often as the queue allows, without an answer, makes its job FAILED, with the cause that
the worker left on the record if it could. Then the message goes to the queue of parked messages: sent from there to the
job queue again, as it is, it revives the job, once. Of a job that is finished the message is dropped.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from .aws import Clients
from .jobs import job_records, messages
from .jobs.job_records import JobTable, Record
from .jobs.messages import Message, UnreadableMessage
from .jobs.metrics import JobMetrics
from .jobs.settings import JobSettings, unless_misconfigured

_log = logging.getLogger("onnx_handler")

# Stands for the function's only model, whose name is not known here.
_UNNAMED = "?"


class Room:
    """What one execution environment holds between batches."""

    def __init__(self, clients: Clients | None = None) -> None:
        self._settings = JobSettings.from_environment(os.environ, "PARKED_QUEUE_URL")
        self._clients = clients or Clients()
        self._table = JobTable(self._clients, self._settings.table)
        self._metrics = JobMetrics()

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Buries one batch.

        Raises:
            ValueError: it is none.
        """
        records = event.get("Records") if isinstance(event, dict) else None
        if not isinstance(records, list) or not all(isinstance(one, dict) and "messageId" in one for one in records):
            got = sorted(event)[:8] if isinstance(event, dict) else type(event).__name__
            raise ValueError(f"not a batch of an SQS queue (got {got}): an event source mapping invokes this command")
        again = []
        for record in records:
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
        now = job_records.now()
        sent = int((delivered.get("attributes") or {}).get("SentTimestamp") or now)
        message: Message | None = None
        try:
            model = (attributes.get("model") or {}).get("stringValue") or _UNNAMED
            message = messages.read(text, message_id, model)
            if message.model == _UNNAMED:
                message = message._replace(model="")
            job, model, version = message.id, message.model, message.version or ""
        except UnreadableMessage as error:
            job, model, version = error.id or message_id, error.model, ""
            _log.warning("message %s: %s", message_id, error)
        record = self._table.get(job)
        if record is None:
            made = Record(job, model, version, job_records.FAILED, sent, now, parked=message_id)
            made = made._replace(
                deadline=sent + self._settings.timeout * 1000,
                expires_at=now // 1000 + self._settings.timeout + self._settings.retention,
                error="its message was delivered as often as the queue allows, and the job was never started",
            )
            record = self._table.create(made) or made
            if record is made:
                self._metrics.count(job_records.FAILED)
        if record.is_open:
            outcome = self._table.change(job_records.fail(job, now, _cause(record), message_id))
            if outcome.error is not None:
                raise outcome.error
            if outcome.done:
                self._metrics.count(job_records.FAILED)
            record = self._table.get(job) or record
        # A retry, after parking failed, finds its own mark.
        if record.status == job_records.FAILED and record.parked == message_id:
            _log.error("job %s failed: %s", job, record.error)
            self._park(text, message, attributes, message_id)
        else:
            _log.info("job %s is %s already", job, record.status)

    def _park(self, text: str, message: Message | None, attributes: dict[str, Any], mark: str) -> None:
        sent = text
        if message is not None:
            # Its own deadline is past by the time that somebody has mended the cause.
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
    return "its message was delivered as often as the queue allows, and the job was never started"


handler = unless_misconfigured(lambda: Room().handle)
