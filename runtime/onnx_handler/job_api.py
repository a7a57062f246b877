"""The command of the job API: `onnx_handler.job_api.handler`. It submits, shows and cancels jobs, and runs none.

It imports neither onnxruntime nor numpy, so it starts in a fraction of the time and runs in the smallest function.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, NamedTuple

from .aws import Clients, is_transient
from .errors import Conflict, Gone, InferenceError, InvalidInput, MethodNotAllowed, NotFinished, NotFound, Unavailable
from .jobs import job_records, messages, validation
from .jobs.job_records import JobTable, Record
from .jobs.messages import ID, Message
from .jobs.metrics import JobMetrics
from .jobs.payloads import Payloads
from .jobs.settings import JobSettings, JobsMisconfigured
from .jobs.validation import Signatures
from .protocol import content_encoding
from .protocol.events import ENVELOPE_ALLOWANCE, RESPONSE_LIMIT, Request, Response, query, read, write
from .protocol.request_form import HEADER_LENGTH
from .protocol.routing import Match, Router

_log = logging.getLogger("onnx_handler")

# Exactly what is served. The constructs make the same routes; a contract test holds the two together.
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

LONGEST_WAIT = 25.0  # seconds: an HTTP API ends a request at 30
# Seconds between two looks at a record, from the first to the longest.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
# Seconds kept of the function's own while a client waits.
RESERVE = 2.0
# Seconds that a client is asked to leave before it asks again.
RETRY_AFTER = 1
# Seconds of a call and calls in all: an answer has to come before the API's time is over.
CALL_TIMEOUT, ATTEMPTS = 4.0, 3
# Headers of the request that the worker needs, or that say what the body is.
_KEPT_HEADERS = (HEADER_LENGTH, "content-type", "content-encoding")
LARGEST_INLINE_RESULT = 256 * 1024  # of a record's answer; anything larger is a request of its own
_JSON = {"Content-Type": "application/json"}


class Room:
    """What one execution environment holds between requests.

    Args:
        clients: for AWS.
    """

    def __init__(self, clients: Clients | None = None) -> None:
        self._router = Router(ROUTES)
        self._api: JobApi | None = None
        try:
            settings = JobSettings.from_environment(os.environ, "JOBS_QUEUE_URL", "PAYLOAD_BUCKET_NAME")
            signatures = Signatures.load(settings.signatures_path)
        except JobsMisconfigured as cause:
            self._cause = f"the function's environment is wrong: {cause}"
            _log.error("%s", self._cause)
            return
        self._api = JobApi(settings, signatures, clients or Clients(ATTEMPTS, CALL_TIMEOUT))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Answers one event; whatever goes wrong is an answer too."""
        try:
            request = read(event)
            route = self._router.match(request.method, request.path)
            if self._api is None:
                raise Unavailable(self._cause)
            return write(event, self._api.answer(request, route, event, context))
        except InferenceError as problem:
            return write(event, _error_response(problem))
        except Exception as problem:
            if is_transient(problem):
                _log.warning("AWS did not answer: %s", problem)
                return write(event, _error_response(Unavailable("the service is busy; try again")))
            _log.exception("unexpected %s", type(problem).__name__)
            message = f"unexpected {type(problem).__name__}; the function's log has more"
            return write(event, _error_response(InferenceError(message)))


class Submission(NamedTuple):
    """A job that a client submits."""

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
        self._actions: dict[tuple[str, str], Callable[[Request, Match, Any, Any], Response]] = {
            ("POST", "jobs"): self._submit,
            ("PUT", "jobs"): self._submit,
            ("GET", "jobs"): self._show,
            ("GET", "jobs/result"): self._result,
            ("DELETE", "jobs"): self._cancel,
        }

    def answer(self, request: Request, route: Match, event: Any, context: Any) -> Response:
        """Answers one request.

        Raises:
            InferenceError: with the status and the message of the answer.
            Exception: of AWS.
        """
        action = "jobs/result" if route.action.endswith("result") else "jobs"
        return self._actions[request.method, action](request, route, event, context)

    # -- submitting ----------------------------------------------------------------------------------------------

    def _submit(self, request: Request, route: Match, event: Any, context: Any) -> Response:
        job = self._read(request, route)
        now = job_records.now()
        deadline = now + job.timeout * 1000
        record = Record(
            job.id,
            job.model,
            job.version or "",
            job_records.QUEUED,
            now,
            now,
            deadline,
            deadline // 1000 + self._settings.retention,
            fingerprint=job.fingerprint,
        )
        there = self._table.create(record)
        if there is None:
            self._send(job, record)
            return self._accepted(request, route, record)
        if there.fingerprint != job.fingerprint:
            raise Conflict(f"job {job.id!r} is there already, with another request")
        there = self._settled(there)
        if there.status == job_records.QUEUED:
            # Whether its message was ever sent is not known: whoever sent it may have died, or not had the answer. One
            # message too many costs little, because a finished job is not run again.
            self._send(job, there, forget=False)
        return self._accepted(request, route, there)

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
        fingerprint = job_records.fingerprint(model, version, headers.get(HEADER_LENGTH), body)
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
        """Takes back a record whose message could not be sent, so that the client's next attempt is like its first.

        Should the message have been sent all the same, the worker makes the record again.
        """
        try:
            self._table.forget(job)
        except Exception as error:  # the job expires, or a repeated PUT sends it
            _log.warning("job %s has a record and perhaps no message: %s", job, error)

    def _accepted(self, request: Request, route: Match, record: Record) -> Response:
        response = self._shown(record, 202 if record.is_open else 200)
        # Relative, because only the client knows which stage or base path stands ahead.
        above = "../" if request.path.endswith("/") else ""
        response.headers["Location"] = f"{above}{record.id}" if route.job else f"{'' if above else 'jobs/'}{record.id}"
        return response

    # -- looking -------------------------------------------------------------------------------------------------

    def _show(self, request: Request, route: Match, event: Any, context: Any) -> Response:
        record = self._find(route)
        if record.is_open and (seconds := _wait(query(event, "wait"))):
            record = self._awaited(route, record, seconds, context)
        return self._shown(record)

    def _awaited(self, route: Match, record: Record, seconds: float, context: Any) -> Record:
        """The record once it is final, or when the client has waited for as long as it wanted."""
        left = context.get_remaining_time_in_millis() / 1000 - RESERVE
        end = monotonic() + min(seconds, left)
        pause = SHORTEST_PAUSE
        while record.is_open and (rest := end - monotonic()) > 0:
            sleep(min(pause, rest))
            pause = min(LONGEST_PAUSE, pause * 1.5)
            record = self._find(route)
        return record

    def _result(self, request: Request, route: Match, event: Any, context: Any) -> Response:
        record = self._find(route)
        if record.is_open:
            raise NotFinished(f"job {record.id!r} is {record.status}: it has no result yet")
        if record.status != job_records.SUCCEEDED:
            raise Gone(f"job {record.id!r} is {record.status}: {record.error}")
        headers = dict(record.result_headers or _JSON)
        text = HEADER_LENGTH not in {name.lower() for name in headers}
        if record.result is not None:
            return Response(200, headers, record.result, text)
        size = self._payloads.size(record.result_uri)
        # In base64, or with what JSON escapes, it takes at most so much more.
        if size * (2 if text else 4 / 3) > RESPONSE_LIMIT - ENVELOPE_ALLOWANCE - 4:
            headers["Location"] = self._payloads.url(record.result_uri)
            return Response(303, headers, b"", True)
        return Response(200, headers, self._payloads.get(record.result_uri), text)

    def _cancel(self, request: Request, route: Match, event: Any, context: Any) -> Response:
        record = self._find(route)
        if record.is_open:
            outcome = self._table.change(job_records.cancel(record.id, job_records.now()))
            if outcome.error is not None:
                raise outcome.error
            record = self._find(route)
        if record.status != job_records.CANCELLED:  # a repeated DELETE is answered like the first
            raise Conflict(f"job {record.id!r} is {record.status} already")
        return self._shown(record)

    def _find(self, route: Match) -> Record:
        job = _checked_id(route.job or "")
        record = self._table.get(job)
        of_another = record is not None and (
            record.model not in ("", route.model) or route.version not in (None, record.version)
        )
        if record is None or of_another:
            version = "" if route.version is None else f" version {route.version!r}"
            raise NotFound(f"model {route.model!r}{version} has no job {job!r}")
        return self._settled(record)

    def _settled(self, record: Record) -> Record:
        """The record, EXPIRED if it is past its deadline: whoever reads it first writes so."""
        now = job_records.now()
        if not record.is_overdue(now):
            return record
        outcome = self._table.change(job_records.expire(record, now))
        if outcome.error is not None:
            raise outcome.error
        if outcome.done:
            self._metrics.count(job_records.EXPIRED)
            self._metrics.write()
            return record.overdue(now)
        return outcome.record or record

    @staticmethod
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
        if record.status == job_records.SUCCEEDED and record.result is not None and _is_json(record):
            body = body[:-1] + b',"result":' + record.result + b"}"
        headers = {**_JSON, "Cache-Control": "no-store"}
        if record.is_open:
            headers["Retry-After"] = str(RETRY_AFTER)
        return Response(status, headers, body, text=True)


def _is_json(record: Record) -> bool:
    length = len(record.result or b"")
    binary = any(name.lower() == HEADER_LENGTH for name in record.result_headers or {})
    return not binary and length <= LARGEST_INLINE_RESULT


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


def _error_response(problem: InferenceError) -> Response:
    if problem.status >= 500:
        _log.error("%s", ascii(str(problem)))
    body = json.dumps({"error": str(problem)}, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    if isinstance(problem, MethodNotAllowed):
        headers["Allow"] = problem.allow
    if isinstance(problem, (NotFinished, Unavailable)):
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(problem.status, headers, body, text=True)


handler = Room().handle
