"""The worker's part of a job: start it, run the model, write the result.

An error in one job is never raised: the job's record becomes FAILED, or its message is handed back to the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from onnx_handler.aws import Clients
from onnx_handler.errors import InferenceError, ModelFailed, ModelNotReady
from onnx_handler.models.model import Model
from onnx_handler.models.processing import Tensors
from onnx_handler.models.repository import Repository
from onnx_handler.protocol import content_encoding, inference_request, inference_response
from onnx_handler.protocol.events import Response
from onnx_handler.protocol.inference_request import InferenceRequest
from onnx_handler.protocol.request_form import HEADER_LENGTH

from . import lifecycle, messages
from .lifecycle import Change, Record, Value
from .messages import Message, UnreadableMessage
from .metrics import JobMetrics
from .micro_batching import MicroBatching
from .payloads import LARGEST_INLINE, Payloads
from .settings import JobSettings
from .table import JobTable, Outcome

_log = logging.getLogger("onnx_handler")


class Delivery:
    """One message of a batch, and how far its job has come.

    Attributes:
        message_id: the queue's id of the message.
        received: how often the message was delivered, this time included.
        sent: when it was put on the queue, in milliseconds since the epoch.
        message: the job; None if it was not read yet, or could not be read.
        attempt: how often the job was started, this time included.
        again: the message is handed back, to be delivered again.
        model: the job's model, once the job is started.
        request: the job's request, once the job is started.
        answer: the outputs, or the error that the job ends with.
    """

    __slots__ = ("again", "answer", "attempt", "message", "message_id", "model", "received", "request", "sent")

    def __init__(self, record: dict[str, Any]) -> None:
        attributes = record.get("attributes") or {}
        self.message_id = str(record["messageId"])
        self.received = int(attributes.get("ApproximateReceiveCount") or 1)
        self.sent = int(attributes.get("SentTimestamp") or lifecycle.now())
        self.message: Message | None = None
        self.attempt = 1
        self.again = False
        self.model: Model | None = None
        self.request: InferenceRequest | None = None
        self.answer: Tensors | InferenceError | None = None

    @property
    def job(self) -> Message:
        """The job; only of a delivery whose message could be read."""
        assert self.message is not None
        return self.message


class Worker:
    """Works on jobs.

    Args:
        settings: of the jobs.
        repository: the function's models.
        clients: for AWS.
        pool: threads for the calls to AWS.

    Attributes:
        table: the job records.
        metrics: of the jobs.
    """

    def __init__(
        self, settings: JobSettings, repository: Repository, clients: Clients, pool: ThreadPoolExecutor
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._pool = pool
        self._payloads = Payloads(clients, settings.bucket)
        self._batching = MicroBatching(settings.micro_batch_size)
        self._notes: dict[str, str] = {}
        self.table = JobTable(clients, settings.table, pool)
        self.metrics = JobMetrics()

    # -- read ----------------------------------------------------------------------------------------------------

    def read(self, delivery: Delivery, record: dict[str, Any]) -> bool:
        """Reads the message of a delivery. If it is not a job, writes a FAILED record and returns False."""
        named = ((record.get("messageAttributes") or {}).get("model") or {}).get("stringValue")
        try:
            model = named or self._repository.only_name
            delivery.message = messages.read(str(record.get("body", "")), delivery.message_id, model)
        except UnreadableMessage as error:
            _log.warning("message %s: %s", delivery.message_id, error)
            self._refuse(delivery, error)
        return delivery.message is not None

    def _refuse(self, delivery: Delivery, error: UnreadableMessage) -> None:
        """Makes a failed job of a message that cannot be read: it could not be read the next time either."""
        job = error.id or delivery.message_id
        made = self._record(job, error.model, "", delivery)._replace(status=lifecycle.FAILED, error=str(error))
        try:
            if self.table.create(made) is None:
                self.metrics.count(lifecycle.FAILED)
            else:
                outcome = self.table.change(lifecycle.fail(job, lifecycle.now(), str(error)))
                self._settle(delivery, lifecycle.FAILED, outcome)
        except Exception as problem:
            self.hand_back([delivery], problem)

    # -- start ---------------------------------------------------------------------------------------------------

    def start(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Marks jobs as RUNNING and reads their requests.

        Returns:
            The jobs to run and to finish. If a request is wrong, its error is the job's answer already.
        """
        started = self._set_running(deliveries)
        if any(delivery.job.body is None for delivery in started):
            list(self._pool.map(self._fetch, started))
        for delivery in started:
            if not delivery.again and delivery.answer is None:
                self._parse(delivery)
        return [delivery for delivery in started if not delivery.again]

    def _set_running(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        outcomes = self.table.change_all(
            [lifecycle.start(one.job.id, one.attempt, lifecycle.now()) for one in deliveries]
        )
        left = [(one, outcome) for one, outcome in zip(deliveries, outcomes, strict=True) if not outcome.done]
        not_to_run = {
            id(delivery)
            for (delivery, _), runs in zip(left, self._pool.map(self._resolve_start, left), strict=True)
            if not runs
        }
        return [delivery for delivery in deliveries if id(delivery) not in not_to_run]

    def _resolve_start(self, left: tuple[Delivery, Outcome]) -> bool:
        """Whether a job is to be run whose record could not simply be set to RUNNING."""
        delivery, outcome = left
        try:
            return self._resolved(delivery, _known(outcome).record)
        except Exception as error:
            self.hand_back([delivery], error)
            return False

    def _resolved(self, delivery: Delivery, record: Record | None) -> bool:
        job = delivery.job
        if record is None:
            first = self._first_record(delivery)
            record = self.table.create(first)
            if record is None:
                if not first.is_open:
                    self.metrics.count(first.status, lifecycle.now() - delivery.sent)
                return first.is_open
        if record.is_overdue(lifecycle.now()):
            outcome = self.table.change(lifecycle.expire(record, lifecycle.now()))
            self._settle(delivery, lifecycle.EXPIRED, outcome)
            return False
        if record.status == lifecycle.FAILED and job.parked and job.parked == record.parked:
            deadline = lifecycle.now() + self._settings.timeout * 1000
            expires_at = deadline // 1000 + self._settings.retention
            _known(self.table.change(lifecycle.revive(job.id, job.parked, lifecycle.now(), deadline, expires_at)))
        elif not record.is_open:
            _log.info("job %s is %s already", job.id, record.status)
            self.metrics.count("DROPPED")
            return False
        return _known(self.table.change(lifecycle.start(job.id, delivery.attempt, lifecycle.now()))).done

    def _first_record(self, delivery: Delivery) -> Record:
        """The record of a job that was put on the queue directly: RUNNING, or EXPIRED if it waited for too long."""
        job = delivery.job
        record = self._record(job.id, job.model, job.version or "", delivery)._replace(fingerprint=_fingerprint(job))
        if record.is_overdue(lifecycle.now()):
            return record.expired(lifecycle.now())
        return record._replace(status=lifecycle.RUNNING, attempts=delivery.attempt)

    def _record(self, job: str, model: str, version: str, delivery: Delivery) -> Record:
        latest = delivery.sent + self._settings.timeout * 1000
        deadline = min(latest, delivery.message.deadline or latest) if delivery.message is not None else latest
        expires_at = max(deadline, lifecycle.now()) // 1000 + self._settings.retention
        return Record(job, model, version, lifecycle.QUEUED, delivery.sent, lifecycle.now(), deadline, expires_at)

    def _fetch(self, delivery: Delivery) -> None:
        job = delivery.job
        if job.body is not None:
            return
        try:
            delivery.message = job._replace(body=self._payloads.get(job.body_uri))
        except InferenceError as error:
            delivery.answer = error
        except Exception as error:
            self.hand_back([delivery], error)

    def _parse(self, delivery: Delivery) -> None:
        job = delivery.job
        try:
            if self._repository.cause:
                raise ModelNotReady(f"the function's environment is wrong: {self._repository.cause}")
            delivery.model = model = self._repository.loaded(self._repository.find(job.model, job.version))
            body = content_encoding.decoded(job.body or b"", job.headers.get("content-encoding", ""))
            delivery.request = inference_request.parse(body, job.headers.get(HEADER_LENGTH), model.inputs)
        except ModelNotReady as error:  # may pass: S3 answers again, or the function is updated
            self.hand_back([delivery], error)
        except InferenceError as error:
            delivery.answer = error
        except Exception as error:
            _log.exception("job %s", job.id)
            delivery.answer = ModelFailed(f"unexpected {type(error).__name__}: {error}")

    # -- run -----------------------------------------------------------------------------------------------------

    def run(self, started: Sequence[Delivery]) -> None:
        """Runs jobs that `start` returned."""
        by_model: dict[int, list[Delivery]] = {}
        for delivery in started:
            if delivery.answer is None:
                by_model.setdefault(id(delivery.model), []).append(delivery)
        for deliveries in by_model.values():
            model = deliveries[0].model
            assert model is not None
            requests = [delivery.request for delivery in deliveries if delivery.request is not None]
            for delivery, answer in zip(deliveries, self._batching.run(model, requests), strict=True):
                delivery.answer = answer

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, ran: Sequence[Delivery]) -> None:
        """Writes results, and hands back the messages of jobs that could not be written."""
        written = list(self._pool.map(self._change, ran)) if len(ran) > 1 else [self._change(one) for one in ran]
        changes = [(delivery, change) for delivery, change in zip(ran, written, strict=True) if change is not None]
        outcomes = self.table.change_all([change for _, change in changes])
        for (delivery, change), outcome in zip(changes, outcomes, strict=True):
            self._settle(delivery, str(change.sets["status"]), outcome)

    def _change(self, delivery: Delivery) -> Change | None:
        """What to write to a job's record; None if the job was handed back. A large result is put into the bucket."""
        job, answer = delivery.job, delivery.answer
        try:
            if isinstance(answer, dict):
                assert delivery.model is not None
                assert delivery.request is not None
                response = inference_response.build(delivery.model, delivery.request, answer)
                return lifecycle.succeed(job.id, lifecycle.now(), self._stored(job.id, response))
        except InferenceError as error:
            answer = error
        except Exception as error:
            self.hand_back([delivery], error)
            return None
        _log.warning("job %s failed: %s", job.id, answer)
        return lifecycle.fail(job.id, lifecycle.now(), str(answer))

    def _stored(self, job: str, response: Response) -> dict[str, Value]:
        result: dict[str, Value] = {"result_headers": response.headers}
        if len(response.body) <= LARGEST_INLINE:
            result["result"] = response.body
        else:
            result["result_uri"] = self._payloads.put_result(job, response.body, response.headers)
        return result

    def _settle(self, delivery: Delivery, status: str, outcome: Outcome) -> None:
        """Counts a change to a final status, or hands the message back if the change could not be written."""
        if outcome.error is not None:
            self.hand_back([delivery], outcome.error)
        elif outcome.done:
            self.metrics.count(status, lifecycle.now() - delivery.sent)
        else:
            _log.info("the result of message %s is dropped: its job is finished or gone", delivery.message_id)
            self.metrics.count("DROPPED")

    def hand_back(self, deliveries: Iterable[Delivery], error: Exception) -> None:
        """Has the queue deliver messages again."""
        text = str(error) if isinstance(error, InferenceError) else f"{type(error).__name__}: {error}"
        for delivery in deliveries:
            delivery.again = True
            self.metrics.count("HANDED_BACK")
            _log.warning("message %s is handed back: %s", delivery.message_id, text)
            if delivery.message is not None:
                self._notes[delivery.job.id] = text

    def close(self) -> None:
        """Ends a batch: writes the metrics and, if possible, the errors of jobs that were handed back."""
        notes = [lifecycle.note(job, text) for job, text in self._notes.items()]
        self._notes.clear()
        # One of them first: if the table does not answer, the others would only take time.
        if notes and self.table.change(notes[0]).error is None:
            self.table.change_all(notes[1:])
        self.metrics.write()


def _known(outcome: Outcome) -> Outcome:
    if outcome.error is not None:
        raise outcome.error
    return outcome


def _fingerprint(job: Message) -> str:
    if job.fingerprint or job.body is None:
        return job.fingerprint
    try:
        body = content_encoding.decoded(job.body, job.headers.get("content-encoding", ""))
    except InferenceError:
        return ""
    return messages.fingerprint(job.model, job.version, job.headers.get(HEADER_LENGTH), body)
