"""A client of the job API."""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from onnx_inference.infer.http_client import Answer, EndpointClient, RequestFailed, is_http_url, send, succeeded
from onnx_inference.infer.open_inference import (
    HEADER_LENGTH,
    InferenceResponse,
    Model,
    ModelMetadata,
    decode,
    encode,
    match,
)
from onnx_inference.infer.tensors import TensorSpec, as_tensor
from onnx_inference.jobs.job import SUCCEEDED, Job, JobError, JobNotFinished, JobOutcome, new_job_id

if TYPE_CHECKING:
    from onnx_inference.infer.tensors import Array

#: How long the server may hold back its answer until the job is finished.
_LONGEST_POLL_SECONDS = 20.0
#: A server that answers at once is not asked more often than this.
_SHORTEST_POLL_SECONDS = 0.2
_RESULT_SECONDS = 60.0
_RETRIED = (429, 500, 502, 503, 504)

_T = TypeVar("_T")

#: One inference request: values by input, or the protocol's JSON with a member `inputs`.
Inputs = Mapping[str, Any]


@dataclass
class JobsClient:
    """Submits jobs for one model, waits for them, and fetches their results. Safe to use from many threads.

    The client makes the job's id. A request that is sent again, after a lost answer or a crash, therefore never makes a
    second job. Requests are sent again when the service cannot be reached, or answers 429 or 5xx.

    Args:
        endpoint: The job API's URL, with stage and base path.
        model: The model's name.
        version: Its version. Default: the server's choice.
        auth: `iam` signs with the AWS credentials, `none` does not, `auto` signs once the endpoint asks for it.
        region: The region to sign for. Default: that of the URL or of the AWS configuration.
        api_key: Sent as `x-api-key`.
        bearer: Sent as `Authorization: Bearer`; requests are then not signed.
        headers: Further headers of every request.
        retry_seconds: For how long a request is sent again when the service cannot be reached, or answers 429 or 5xx.

    Raises:
        RequestFailed: The endpoint is not an http or https URL.
    """

    endpoint: str
    model: str
    version: str | None = None
    auth: str = "auto"
    region: str | None = None
    api_key: str | None = None
    bearer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_seconds: float = 60.0
    _client: EndpointClient = field(init=False, repr=False)
    _model: Model = field(init=False, repr=False)
    _metadata: ModelMetadata | None = field(init=False, default=None, repr=False)
    _asked_for_metadata: bool = field(init=False, default=False, repr=False)

    def __post_init__(self) -> None:
        headers = dict(self.headers)
        if self.api_key is not None:
            headers["x-api-key"] = self.api_key
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer}"
        auth = "none" if self.bearer is not None else self.auth
        timeout = _LONGEST_POLL_SECONDS + 15
        self._client = EndpointClient(
            self.endpoint, auth=auth, region=self.region, headers=headers, timeout_seconds=timeout
        )
        self._model = Model(self._client, self.model, self.version)

    # -- one job ------------------------------------------------------------------------------------------------

    def submit(
        self,
        inputs: Inputs,
        *,
        id: str | None = None,
        outputs: Sequence[str] = (),
        binary: bool | None = None,
        timeout: int | None = None,
    ) -> Job:
        """Submit a job. Submitting the same inputs with the same id again changes nothing.

        Args:
            inputs: A value for each input: an array, or nested lists. Values are cast to what the model takes, if the
                endpoint serves the model's metadata; else arrays keep their datatype, and lists become FP32, INT64,
                BOOL or BYTES. Or the protocol's JSON request, an object with a list `inputs`, which is sent unchanged.
            id: The job's id: letters, digits, `_`, `.` and `-`, at most 128. Default: a new one.
            outputs: The outputs to ask for. Default: all.
            binary: Whether tensors are sent as binary data. Default: where the inputs have more than 16 KiB.
            timeout: Seconds until the job expires. Default, and most: what the service was deployed with.

        Raises:
            TensorMismatch: The values do not fit the model.
            RequestFailed: The service refused the job (409: the id is that of another job), or cannot be reached.
        """
        body, headers = self._request(inputs, outputs, binary)
        if timeout is not None:
            headers["Job-Timeout"] = str(timeout)
        job = id or new_job_id()
        return _job(self._send("PUT", self._job_path(job), body, headers))

    def status(self, job: Job | str) -> Job:
        """A job as it is now.

        Raises:
            RequestFailed: There is no such job (404), or the service cannot be reached.
        """
        return self._status(_id(job), 0.0)

    def cancel(self, job: Job | str) -> Job:
        """Cancel a job. A result that a worker is computing is dropped.

        Raises:
            RequestFailed: The job is finished already (409), there is no such job (404), or the service cannot be
                reached.
        """
        answer = self._send("DELETE", self._job_path(_id(job)), b"", {})
        try:
            return _job(answer)
        except RequestFailed:
            return self.status(job)

    def wait(self, job: Job | str, *, timeout: float | None = None) -> Job:
        """Wait until a job is finished, however it ends.

        Args:
            job: The job or its id.
            timeout: Seconds. Default: until the job's own deadline ends it.

        Raises:
            JobNotFinished: It is not finished in that time.
            RequestFailed: There is no such job, or the service cannot be reached.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            remaining = _LONGEST_POLL_SECONDS if deadline is None else deadline - time.monotonic()
            asked_at = time.monotonic()
            current = self._status(_id(job), min(max(remaining, 0.0), _LONGEST_POLL_SECONDS), deadline)
            if current.finished:
                return current
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise JobNotFinished(current, timeout or 0.0)
            pause = _SHORTEST_POLL_SECONDS - (now - asked_at)
            if pause > 0:
                time.sleep(pause if deadline is None else min(pause, deadline - now))

    def result(self, job: Job | str, *, timeout: float | None = None) -> InferenceResponse:
        """Wait for a job and return its result.

        Args:
            job: The job or its id.
            timeout: Seconds. Default: until the job's own deadline ends it.

        Raises:
            JobError: The job failed, expired or was cancelled.
            JobNotFinished: It is not finished in that time.
            RequestFailed: There is no such job, or the service cannot be reached.
        """
        finished = self.wait(job, timeout=timeout)
        if finished.status != SUCCEEDED:
            raise JobError(finished)
        inline = finished.record.get("result")
        if isinstance(inline, Mapping) and not _has_binary_parts(inline):
            return decode(Answer(200, {}, json.dumps(inline).encode()))
        answer = self._send("GET", f"{self._job_path(finished.id)}/result", b"", {"Accept": "application/octet-stream"})
        if 300 <= answer.status < 400:
            answer = self._fetch(answer.headers.get("location", ""))
        return decode(answer)

    # -- many jobs ----------------------------------------------------------------------------------------------

    def map(
        self,
        inputs: Iterable[Inputs],
        *,
        name: str | None = None,
        concurrency: int = 16,
        timeout: float | None = None,
        progress: bool = False,
        on_submitted: Callable[[Job], None] | None = None,
        **settings: Any,
    ) -> Iterator[JobOutcome]:
        """Submit a job for each of the inputs and yield the jobs' outcomes, in the order of the inputs.

        Jobs are submitted ahead of the one that is waited for, so that the service always has work.

        Args:
            inputs: As for `submit`; read as they are needed.
            name: Prefix of the jobs' ids: `NAME-0`, `NAME-1`, ... After a crash, the same call with the same name
                continues with the jobs that exist. Default: new ids, which `on_submitted` receives.
            concurrency: How many requests are under way at once.
            timeout: How long to wait for each job once it is its turn, in seconds.
            progress: Show a progress bar on the error stream.
            on_submitted: Called with each submitted job, from several threads.
            settings: Further arguments of `submit`.
        """
        from onnx_inference.jobs.many import run_many

        return run_many(
            self,
            inputs,
            ids=None if name is None else (lambda number: f"{name}-{number}"),
            concurrency=concurrency,
            timeout=timeout,
            progress=progress,
            on_submitted=on_submitted,
            settings=settings,
        )

    def collect(
        self,
        ids: Iterable[Job | str],
        *,
        concurrency: int = 16,
        timeout: float | None = None,
        progress: bool = False,
    ) -> Iterator[JobOutcome]:
        """Yield the outcomes of jobs that were submitted before, in the order of their ids.

        Args:
            ids: The jobs.
            concurrency: How many requests are under way at once.
            timeout: How long to wait for each job once it is its turn, in seconds.
            progress: Show a progress bar on the error stream.
        """
        from onnx_inference.jobs.many import collect_many

        return collect_many(
            self, [_id(job) for job in ids], concurrency=concurrency, timeout=timeout, progress=progress
        )

    # -- requests -----------------------------------------------------------------------------------------------

    def _request(self, inputs: Inputs, outputs: Sequence[str], binary: bool | None) -> tuple[bytes, dict[str, str]]:
        if isinstance(inputs.get("inputs"), list) and all(isinstance(one, Mapping) for one in inputs["inputs"]):
            return json.dumps(inputs, separators=(",", ":")).encode(), {"Content-Type": "application/json"}
        metadata = self._model_metadata()
        arrays: list[tuple[TensorSpec, Array]]
        if metadata is None:
            arrays = [as_tensor(name, value) for name, value in inputs.items()]
        else:
            arrays = match(inputs, metadata.inputs)
        return encode(arrays, outputs, binary=binary)

    def _model_metadata(self) -> ModelMetadata | None:
        """What the model takes; None where the endpoint does not serve it, because it serves jobs and nothing else."""
        if not self._asked_for_metadata:
            try:
                self._metadata = self._retried(self._model.metadata)
            except RequestFailed as error:
                if error.answer is None or error.answer.status not in (200, 403, 404, 405):
                    raise
            self._asked_for_metadata = True
        return self._metadata

    def _job_path(self, job: str) -> str:
        return f"{self._model.path}/jobs/{quote(job, safe='')}"

    def _status(self, job: str, wait: float, deadline: float | None = None) -> Job:
        query = f"?wait={int(wait)}" if wait >= 1 else ""
        return _job(self._send("GET", self._job_path(job) + query, b"", {}, deadline))

    def _send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], deadline: float | None = None
    ) -> Answer:
        headers = {"Accept": "application/json", **headers}
        return self._retried(lambda: self._client.request(method, path, body, headers), deadline)

    def _fetch(self, location: str) -> Answer:
        """Fetch a large result from where the service says it is. A presigned URL takes no further signature."""
        if not is_http_url(location):
            raise RequestFailed(f"The service names no URL for the result: {location!r}")
        try:
            answer = self._retried(lambda: succeeded(send("GET", location, timeout_seconds=_RESULT_SECONDS)))
        except RequestFailed as error:
            place = urlsplit(location).netloc
            raise RequestFailed(f"The result cannot be fetched from {place}: {error}", error.answer) from error
        name = HEADER_LENGTH.lower()
        length = answer.headers.get(name) or answer.headers.get(f"x-amz-meta-{name}")
        return Answer(answer.status, {} if length is None else {name: length}, answer.body)

    def _retried(self, attempt: Callable[[], _T], deadline: float | None = None) -> _T:
        """Attempt a request, again while there is no answer, or one of 429 or 5xx."""
        until = time.monotonic() + self.retry_seconds
        if deadline is not None:
            until = min(until, max(deadline, time.monotonic() + 1.0))
        pause = 0.1
        while True:
            try:
                return attempt()
            except RequestFailed as error:
                if error.answer is not None and error.answer.status not in _RETRIED:
                    raise
                asked = _seconds(None if error.answer is None else error.answer.headers.get("retry-after"))
                wait = max(asked, pause * random.uniform(0.5, 1.0))
                if time.monotonic() + wait > until:
                    raise
                time.sleep(wait)
                pause = min(pause * 2, 5.0)


def _id(job: Job | str) -> str:
    return job.id if isinstance(job, Job) else job


def _job(answer: Answer) -> Job:
    try:
        return Job.from_record(json.loads(answer.body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestFailed(f"The endpoint answered with no job: {answer.body[:200]!r}", answer) from error


def _seconds(text: str | None) -> float:
    try:
        return min(float(text or 0), 20.0)
    except ValueError:
        return 0.0


def _has_binary_parts(result: Mapping[str, Any]) -> bool:
    return any("data" not in output for output in result.get("outputs", ()))
