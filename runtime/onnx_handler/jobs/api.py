"""The job API over HTTP: submit a job, show it, get its result, cancel it."""

from __future__ import annotations

import json
import logging
import os
from time import monotonic, sleep
from typing import Any, NamedTuple

from onnx_handler.aws import Clients
from onnx_handler.errors import Conflict, Gone, InvalidInput, NotFinished, NotFound
from onnx_handler.protocol import content_encoding
from onnx_handler.protocol.events import ENVELOPE_ALLOWANCE, RESPONSE_LIMIT, Request, Response, query
from onnx_handler.protocol.request_form import HEADER_LENGTH
from onnx_handler.protocol.routing import Match

from . import lifecycle, messages, validation
from .lifecycle import Record
from .messages import ID, Message
from .metrics import JobMetrics
from .payloads import Payloads
from .settings import JobSettings
from .table import JobTable
from .validation import Signatures

_log = logging.getLogger("onnx_handler")

# Exactly what is served. The constructs make the same routes; a contract test holds the two equal.
ROUTES: tuple[tuple[str, str], ...] = tuple(
    (method, f"/v2/models/{{model}}{version}/jobs{rest}")
    for version in ("", "/versions/{version}")
    for method, rest in (
        ("POST", ""),
        ("PUT", "/{job}"),
        ("GET", "/{job}"),
        ("GET", "/{job}/result"),
        ("DELETE", "/{job}"),
    )
)

LONGEST_WAIT = 25.0  # seconds; an HTTP API ends a request after 30
# Seconds between two reads of a record while a client waits: the first pause, and the longest.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
# Seconds of the function's timeout that are kept for the answer when a client waits.
RESERVE = 2.0
# Seconds after which a client should ask again (the Retry-After header).
RETRY_AFTER = 1
# Headers of the request that the worker needs.
_KEPT_HEADERS = (HEADER_LENGTH, "content-type", "content-encoding")
_JSON = {"Content-Type": "application/json"}


class Submission(NamedTuple):
    """A job that a client submits; `timeout` is in seconds."""

    id: str
    model: str
    version: str | None
    headers: dict[str, str]
    body: bytes
    fingerprint: str
    timeout: int


class JobApi:
    """Answers requests about jobs."""

    def __init__(self, settings: JobSettings, signatures: Signatures, clients: Clients) -> None:
        self._settings = settings
        self._signatures = signatures
        self._clients = clients
        self._table = JobTable(clients, settings.table)
        self._payloads = Payloads(clients, settings.bucket)
        self._metrics = JobMetrics()

    def answer(self, request: Request, route: Match, event: Any, context: Any) -> Response:
        """Answers one request.

        Args:
            request: as its event had it.
            route: of the request.
            event: Lambda's, for the query string.
            context: Lambda's, for the time that is left.

        Raises:
            InferenceError: with the status and the message of the answer.
            Exception: of AWS.
        """
        if route.action.endswith("result"):
            return self._result(route)
        match request.method:
            case "POST" | "PUT":
                return self._submit(request, route)
            case "DELETE":
                return self._cancel(route)
            case _:
                return self._show(route, event, context)

    # -- submit --------------------------------------------------------------------------------------------------

    def _submit(self, request: Request, route: Match) -> Response:
        job = self._read(request, route)
        now = lifecycle.now()
        deadline = now + job.timeout * 1000
        record = Record(
            job.id,
            job.model,
            job.version or "",
            lifecycle.QUEUED,
            now,
            now,
            deadline,
            deadline // 1000 + self._settings.retention,
            fingerprint=job.fingerprint,
        )
        existing = self._table.create(record)
        if existing is None:
            self._send(job, record)
            return self._accepted(request, route, record)
        if existing.fingerprint != job.fingerprint:
            raise Conflict(f"job {job.id!r} is there already, with another request")
        existing = self._expired_if_overdue(existing)
        if existing.status == lifecycle.QUEUED:
            # Its message may never have been sent: the first attempt may have died before. A second message does no
            # harm, because a finished job is not run again.
            self._send(job, existing, forget=False)
        return self._accepted(request, route, existing)

    def _read(self, request: Request, route: Match) -> Submission:
        model, version = route.model or "", route.version
        headers = request.headers
        key = route.job or headers.get("idempotency-key")
        job = os.urandom(16).hex() if key is None else _checked_id(key)
        signature = self._signatures.find(model, version)
        body = content_encoding.decoded(request.body, headers.get("content-encoding", ""))
        validation.check(body, headers.get(HEADER_LENGTH), signature)
        kept = {name: headers[name] for name in _KEPT_HEADERS if headers.get(name)}
        timeout = self._timeout(headers.get("job-timeout"))
        fingerprint = messages.fingerprint(model, version, headers.get(HEADER_LENGTH), body)
        return Submission(job, model, version, kept, request.body, fingerprint, timeout)

    def _timeout(self, header: str | None) -> int:
        most = self._settings.timeout
        if header is None:
            return most
        text = header.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most):
            raise InvalidInput(f"Job-Timeout is {header!r:.40}; whole seconds from 1 to {most} are expected")
        return int(text)

    def _send(self, job: Submission, record: Record, forget: bool = True) -> None:
        message = Message(
            job.id,
            job.model,
            job.version,
            job.headers,
            job.body,
            deadline=record.deadline,
            fingerprint=job.fingerprint,
        )
        try:
            text = messages.write(message)
            if len(text) > messages.LARGEST:
                uri = self._payloads.put_request(job.id, job.body)
                text = messages.write(message._replace(body=None, body_uri=uri))
            self._clients.get("sqs").send_message(QueueUrl=self._settings.queue_url, MessageBody=text)
        except Exception:
            if forget:
                self._forget(job.id)
            raise

    def _forget(self, job: str) -> None:
        """Deletes a record whose message could not be sent, so that the client can submit the job again.

        If the message was sent all the same, the worker creates the record again.
        """
        try:
            self._table.forget(job)
        except Exception as error:  # the job will expire, unless the client submits it again
            _log.warning("job %s has a record and perhaps no message: %s", job, error)

    def _accepted(self, request: Request, route: Match, record: Record) -> Response:
        response = _shown(record, 202 if record.is_open else 200)
        # Relative: only the client knows which stage or base path precedes /v2.
        above = "../" if request.path.endswith("/") else ""
        response.headers["Location"] = f"{above}{record.id}" if route.job else f"{'' if above else 'jobs/'}{record.id}"
        return response

    # -- show ----------------------------------------------------------------------------------------------------

    def _show(self, route: Match, event: Any, context: Any) -> Response:
        record = self._find(route)
        if record.is_open and (seconds := _wait(query(event, "wait"))):
            record = self._awaited(route, record, seconds, context)
        return _shown(record)

    def _awaited(self, route: Match, record: Record, seconds: float, context: Any) -> Record:
        """The record as soon as it is final, or after `seconds`."""
        left = context.get_remaining_time_in_millis() / 1000 - RESERVE
        end = monotonic() + min(seconds, left)
        pause = SHORTEST_PAUSE
        while record.is_open and (rest := end - monotonic()) > 0:
            sleep(min(pause, rest))
            pause = min(LONGEST_PAUSE, pause * 1.5)
            record = self._find(route)
        return record

    def _result(self, route: Match) -> Response:
        record = self._find(route)
        if record.is_open:
            raise NotFinished(f"job {record.id!r} is {record.status}: it has no result yet")
        if record.status != lifecycle.SUCCEEDED:
            raise Gone(f"job {record.id!r} is {record.status}: {record.error}")
        headers = dict(record.result_headers or _JSON)
        text = not _is_binary(headers)
        if record.result is not None:
            return Response(200, headers, record.result, text)
        size = self._payloads.size(record.result_uri)
        # The most that escapes in JSON, or base64, can add.
        if size * (2 if text else 4 / 3) > RESPONSE_LIMIT - ENVELOPE_ALLOWANCE - 4:
            headers["Location"] = self._payloads.url(record.result_uri)
            return Response(303, headers, b"", True)
        return Response(200, headers, self._payloads.get(record.result_uri), text)

    # -- cancel --------------------------------------------------------------------------------------------------

    def _cancel(self, route: Match) -> Response:
        record = self._find(route)
        if record.is_open:
            outcome = self._table.change(lifecycle.cancel(record.id, lifecycle.now()))
            if outcome.error is not None:
                raise outcome.error
            record = self._find(route)
        if record.status != lifecycle.CANCELLED:  # a repeated DELETE is answered like the first
            raise Conflict(f"job {record.id!r} is {record.status} already")
        return _shown(record)

    # -- records -------------------------------------------------------------------------------------------------

    def _find(self, route: Match) -> Record:
        job = _checked_id(route.job or "")
        record = self._table.get(job)
        of_another = record is not None and (
            record.model not in ("", route.model) or route.version not in (None, record.version)
        )
        if record is None or of_another:
            version = "" if route.version is None else f" version {route.version!r}"
            raise NotFound(f"model {route.model!r}{version} has no job {job!r}")
        return self._expired_if_overdue(record)

    def _expired_if_overdue(self, record: Record) -> Record:
        """The record; past its deadline, whoever reads it first writes EXPIRED."""
        now = lifecycle.now()
        if not record.is_overdue(now):
            return record
        outcome = self._table.change(lifecycle.expire(record, now))
        if outcome.error is not None:
            raise outcome.error
        if outcome.done:
            self._metrics.count(lifecycle.EXPIRED)
            self._metrics.write()
            return record.expired(now)
        return outcome.record or record


def _shown(record: Record, status: int = 200) -> Response:
    document: dict[str, Any] = {
        "id": record.id,
        "model": record.model,
        "version": record.version,
        "status": record.status,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "deadline": record.deadline,
        "attempts": record.attempts,
    }
    if not record.version:
        del document["version"]
    if record.error:
        document["error"] = record.error
    body = json.dumps(document, separators=(",", ":")).encode()
    if record.status == lifecycle.SUCCEEDED and _is_inline(record):
        body = body[:-1] + b',"result":' + (record.result or b"") + b"}"
    headers = {**_JSON, "Cache-Control": "no-store"}
    if record.is_open:
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(status, headers, body, text=True)


def _is_inline(record: Record) -> bool:
    return record.result is not None and not _is_binary(record.result_headers or {})


def _is_binary(headers: dict[str, str]) -> bool:
    return any(name.lower() == HEADER_LENGTH for name in headers)


def _checked_id(job: str) -> str:
    if not ID.fullmatch(job):
        raise InvalidInput(f"the job's id is {job!r:.140}; {ID.pattern} is expected")
    return job


def _wait(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise InvalidInput(f"wait is {text!r:.40}; seconds are expected, of which at most {LONGEST_WAIT:g} are waited")
    return min(seconds, LONGEST_WAIT)
