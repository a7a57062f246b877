"""What the worker does with jobs: take on, run, write what became of them.

None of it raises for a job's sake: a job ends in a record that says so, or is handed back to the queue with its error.
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

from . import job_records, messages
from .job_records import Change, JobTable, Outcome, Record, Value
from .messages import Message, UnreadableMessage
from .metrics import JobMetrics
from .micro_batching import MicroBatching
from .payloads import LARGEST_INLINE, Payloads
from .settings import JobSettings

_log = logging.getLogger("onnx_handler")


class Delivery:
    """One message of a batch, and what it has come to.

    Attributes:
        message_id: the queue's.
        received: how often the message was delivered, this time included.
        sent: when it was put on the queue, in milliseconds.
        message: the job; None while, or because, it cannot be read.
        attempt: how often the job was started, this time included.
        again: it is to be delivered again.
        model: the job's, once it is taken on.
        request: the job's, once it is taken on.
        answer: the outputs, or why there are none.
    """

    __slots__ = ("again", "answer", "attempt", "message", "message_id", "model", "received", "request", "sent")

    def __init__(self, record: dict[str, Any]) -> None:
        attributes = record.get("attributes") or {}
        self.message_id = str(record["messageId"])
        self.received = int(attributes.get("ApproximateReceiveCount") or 1)
        self.sent = int(attributes.get("SentTimestamp") or job_records.now())
        self.message: Message | None = None
        self.attempt = 1
        self.again = False
        self.model: Model | None = None
        self.request: InferenceRequest | None = None
        self.answer: Tensors | InferenceError | None = None

    @property
    def job(self) -> Message:
        """The message of a delivery that could be read."""
        assert self.message is not None
        return self.message


class Worker:
    """Works on jobs.

    Args:
        settings: of the jobs.
        repository: the function's models.
        clients: for AWS.
        pool: threads for what waits for AWS.
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

    # -- messages ------------------------------------------------------------------------------------------------

    def read(self, delivery: Delivery, record: dict[str, Any]) -> bool:
        """Reads a delivery's message; where no job can be made of it, a record says so, and False is returned."""
        named = ((record.get("messageAttributes") or {}).get("model") or {}).get("stringValue")
        try:
            model = named or self._repository.only_name
            delivery.message = messages.read(str(record.get("body", "")), delivery.message_id, model)
        except UnreadableMessage as error:
            _log.warning("message %s: %s", delivery.message_id, error)
            self._refuse(delivery, error)
        return delivery.message is not None

    def _refuse(self, delivery: Delivery, error: UnreadableMessage) -> None:
        """Makes a failed job of an unreadable message: it would be as unreadable the next time."""
        job = error.id or delivery.message_id
        made = self._record(job, error.model, "", delivery)._replace(status=job_records.FAILED, error=str(error))
        try:
            if self.table.create(made) is None:
                self.metrics.count(job_records.FAILED)
            else:
                self._settle(
                    delivery,
                    job_records.FAILED,
                    self.table.change(job_records.fail(job, job_records.now(), str(error))),
                )
        except Exception as problem:
            self.hand_back([delivery], problem)

    # -- taking on -----------------------------------------------------------------------------------------------

    def take(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Marks jobs as RUNNING and reads their requests.

        Returns:
            Those that are to be run, or have an answer already: that they are wrong.
        """
        started = self._start(deliveries)
        if any(delivery.job.body is None for delivery in started):
            list(self._pool.map(self._fetch, started))
        for delivery in started:
            if not delivery.again and delivery.answer is None:
                self._parse(delivery)
        return [delivery for delivery in started if not delivery.again]

    def _start(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        outcomes = self.table.change_all(
            [job_records.start(one.job.id, one.attempt, job_records.now()) for one in deliveries]
        )
        left = [(one, outcome) for one, outcome in zip(deliveries, outcomes, strict=True) if not outcome.done]
        not_to_run = {
            id(delivery)
            for (delivery, _), runs in zip(left, self._pool.map(self._start_otherwise, left), strict=True)
            if not runs
        }
        return [delivery for delivery in deliveries if id(delivery) not in not_to_run]

    def _start_otherwise(self, left: tuple[Delivery, Outcome]) -> bool:
        """Whether a job is to be run that was not simply waiting for it."""
        delivery, outcome = left
        try:
            return self._started(delivery, _known(outcome).record)
        except Exception as error:
            self.hand_back([delivery], error)
            return False

    def _started(self, delivery: Delivery, record: Record | None) -> bool:
        if record is None:
            record = self._create(delivery)
            if record is None:
                return True
        job = delivery.job
        if record.is_overdue(job_records.now()):
            self._settle(
                delivery, job_records.EXPIRED, self.table.change(job_records.expire(record, job_records.now()))
            )
            return False
        if record.status == job_records.FAILED and job.parked and job.parked == record.parked:
            deadline = job_records.now() + self._settings.timeout * 1000
            expires_at = deadline // 1000 + self._settings.retention
            _known(self.table.change(job_records.revive(job.id, job.parked, job_records.now(), deadline, expires_at)))
        elif not record.is_open:
            _log.info("job %s is %s already", job.id, record.status)
            self.metrics.count("DROPPED")
            return False
        return _known(self.table.change(job_records.start(job.id, delivery.attempt, job_records.now()))).done

    def _create(self, delivery: Delivery) -> Record | None:
        """Makes the record of a job that an SDK put on the queue, or returns the record that is there."""
        job = delivery.job
        made = self._record(job.id, job.model, job.version or "", delivery)._replace(fingerprint=_fingerprint(job))
        if made.is_overdue(job_records.now()):
            overdue = made.overdue(job_records.now())
            return self.table.create(overdue) or overdue
        return self.table.create(made._replace(status=job_records.RUNNING, attempts=delivery.attempt))

    def _record(self, job: str, model: str, version: str, delivery: Delivery) -> Record:
        latest = delivery.sent + self._settings.timeout * 1000
        deadline = min(latest, delivery.message.deadline or latest) if delivery.message is not None else latest
        expires_at = max(deadline, job_records.now()) // 1000 + self._settings.retention
        return Record(job, model, version, job_records.QUEUED, delivery.sent, job_records.now(), deadline, expires_at)

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
        except ModelNotReady as error:  # another deployment, or what the model comes from, may mend it
            self.hand_back([delivery], error)
        except InferenceError as error:
            delivery.answer = error
        except Exception as error:
            _log.exception("job %s", job.id)
            delivery.answer = ModelFailed(f"unexpected {type(error).__name__}: {error}")

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, taken: Sequence[Delivery]) -> None:
        """Runs jobs that were taken on."""
        by_model: dict[int, list[Delivery]] = {}
        for delivery in taken:
            if delivery.answer is None:
                by_model.setdefault(id(delivery.model), []).append(delivery)
        for deliveries in by_model.values():
            model = deliveries[0].model
            assert model is not None
            requests = [delivery.request for delivery in deliveries if delivery.request is not None]
            for delivery, answer in zip(deliveries, self._batching.run(model, requests), strict=True):
                delivery.answer = answer

    # -- writing -------------------------------------------------------------------------------------------------

    def finish(self, ran: Sequence[Delivery]) -> None:
        """Writes results, and hands back what could not be written."""
        written = list(self._pool.map(self._result, ran)) if len(ran) > 1 else [self._result(one) for one in ran]
        changes = [
            (delivery, change) for delivery, change in zip(ran, written, strict=True) if change is not None
        ]  # fmt: skip
        outcomes = self.table.change_all([change for _, change in changes])
        for (delivery, change), outcome in zip(changes, outcomes, strict=True):
            self._settle(delivery, str(change.sets["status"]), outcome)

    def _result(self, delivery: Delivery) -> Change | None:
        """What to write of a job; a large result goes to the bucket here."""
        job, answer = delivery.job, delivery.answer
        try:
            if isinstance(answer, dict):
                assert delivery.model is not None
                assert delivery.request is not None
                response = inference_response.build(delivery.model, delivery.request, answer)
                return job_records.succeed(job.id, job_records.now(), self._stored(job.id, response))
        except InferenceError as error:
            answer = error
        except Exception as error:
            self.hand_back([delivery], error)
            return None
        _log.warning("job %s failed: %s", job.id, answer)
        return job_records.fail(job.id, job_records.now(), str(answer))

    def _stored(self, job: str, response: Response) -> dict[str, Value]:
        result: dict[str, Value] = {"result_headers": response.headers}
        if len(response.body) <= LARGEST_INLINE:
            result["result"] = response.body
        else:
            result["result_uri"] = self._payloads.put_result(job, response.body, response.headers)
        return result

    def _settle(self, delivery: Delivery, status: str, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.hand_back([delivery], outcome.error)
        elif outcome.done:
            self.metrics.count(status, job_records.now() - delivery.sent)
        else:
            _log.info("what became of job %s is dropped: it is finished or gone", delivery.message_id)
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
        """Ends a batch: writes what is to be known of jobs that are handed back, as far as that can be, and metrics."""
        notes = [job_records.note(job, text) for job, text in self._notes.items()]
        self._notes.clear()
        # One of them first: where the table is what does not answer, the others would only take time.
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
    return job_records.fingerprint(job.model, job.version, job.headers.get(HEADER_LENGTH), body)
