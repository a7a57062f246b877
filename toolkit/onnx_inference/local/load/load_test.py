"""An open-loop load of real requests: each is sent at its planned time, however long earlier ones take."""

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

from onnx_inference.extras import import_from_extra
from onnx_inference.local.clock import Clock
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.gateway.http_server import RequestRecord
from onnx_inference.local.lambda_host.environment_records import EnvironmentRecord, Throttle
from onnx_inference.local.lambda_host.invocation import InvocationRecord
from onnx_inference.local.load.request_body import LoadRequest

_WORKERS = 256
_TIMEOUT_SECONDS = 60.0
#: A request that is sent later than this is counted: this machine was too busy.
_LATE_SECONDS = 0.1
#: A warm request that waited longer than this waited because the twin makes no more environments.
_WAITED_MS = 10.0


class LoadError(RuntimeError):
    """The load is not possible: nothing is served, or it is not known what to send."""


@dataclass(frozen=True)
class LoadPlan:
    """The rate and the duration of a load.

    Attributes:
        rate: Requests per second of this machine.
        seconds: How long, in seconds of this machine.
    """

    rate: float
    seconds: float

    @property
    def count(self) -> int:
        """The number of requests; at least one."""
        return max(1, round(self.rate * self.seconds))


@dataclass(frozen=True)
class Sample:
    """One request.

    Attributes:
        number: Its number, from 0.
        at: The time at which it was to be sent, on the twin's clock.
        latency_ms: The time from then until the whole answer was received.
        status: The status of the answer; 0 when there was none.
        error: Why there was no answer.
        invocation: The record of the invocation behind it; None when there was none.
    """

    number: int
    at: datetime
    latency_ms: float
    status: int
    error: str = ""
    invocation: InvocationRecord | None = None

    @property
    def cold(self) -> bool:
        """Whether it waited for an environment to be made or restored."""
        return self.invocation is not None and self.invocation.cold_start

    @property
    def waited(self) -> bool:
        """Whether it waited for a busy environment, because this machine allows no more of them.

        Lambda would have made another environment: it would have been a cold start there, or a 429.
        """
        return self.invocation is not None and not self.cold and self.invocation.queued_ms > _WAITED_MS

    @property
    def succeeded(self) -> bool:
        """Whether it was answered without an error."""
        return 0 < self.status < 400


@dataclass(frozen=True)
class LoadResult:
    """The result of a load. Times are on the twin's clock.

    Attributes:
        plan: The rate and the duration that were asked for.
        request: The request that was sent.
        url: The endpoint.
        functions: The names of the functions behind it.
        speed: The speed of the twin's clock.
        started_at: The time at which the first request was to be sent.
        ended_at: When the last answer was received.
        seconds: How long that took on this machine.
        samples: Every request, in order.
        environments: The environments of the functions that existed during the load.
        throttles: The invocations that were refused during the load.
        late: How many requests were sent late because this machine was too busy.
    """

    plan: LoadPlan
    request: LoadRequest
    url: str
    functions: tuple[str, ...]
    speed: float
    started_at: datetime
    ended_at: datetime
    seconds: float
    samples: tuple[Sample, ...]
    environments: tuple[EnvironmentRecord, ...]
    throttles: tuple[Throttle, ...]
    late: int


@dataclass
class LoadTest:
    """Sends requests, and joins what the client and the twin recorded of each.

    Args:
        url: The endpoint, with a slash at the end.
        request: The request to send.
        plan: The rate and the duration.
        clock: The twin's clock.
        credentials: The credentials to sign with.
        service: The service to sign for; None sends unsigned requests.
    """

    url: str
    request: LoadRequest
    plan: LoadPlan
    clock: Clock
    credentials: LocalCredentials
    service: str | None
    samples: list[Sample] = field(init=False, default_factory=list)
    late: int = field(init=False, default=0)
    sent: int = field(init=False, default=0)
    _invocations: dict[str, InvocationRecord] = field(init=False, default_factory=dict)
    _connections: threading.local = field(init=False, default_factory=threading.local)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def observe(self, record: RequestRecord) -> None:
        """Take the twin's record of a request."""
        if record.trace_id is not None and record.invocation is not None:
            self._invocations[record.trace_id] = record.invocation

    def run(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Send all requests and wait for the answers."""
        began = time.perf_counter()
        with ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="load") as workers:
            for number in range(self.plan.count):
                planned = began + number / self.plan.rate
                while (remaining := planned - time.perf_counter()) > 0:
                    if interrupted():
                        return
                    time.sleep(min(remaining, 0.2))
                self.sent += 1
                workers.submit(self._send, number, planned, self.clock.now())

    def collected(self) -> list[Sample]:
        """The answered requests so far, in order, with their invocations."""
        with self._lock:
            samples = list(self.samples)
        known = [replace(sample, invocation=self._invocations.get(_trace_id(sample.number))) for sample in samples]
        return sorted(known, key=lambda sample: sample.number)

    def fetch(self, method: str, path: str) -> tuple[int, bytes]:
        """Send one request that is not part of the load; gives the status and the body."""
        return self._exchange(method, path, b"", {"Accept": "application/json"})

    def _send(self, number: int, planned: float, at: datetime) -> None:
        late = time.perf_counter() - planned > _LATE_SECONDS
        headers = {**self.request.headers, "X-Amzn-Trace-Id": _trace_id(number)}
        status, error = 0, ""
        try:
            status, _ = self._exchange(self.request.method, self.request.path, self.request.body, headers)
        except (OSError, http.client.HTTPException) as failure:
            self._connections.connection = None
            error = f"{type(failure).__name__}: {failure}"
        latency = (time.perf_counter() - planned) * 1000
        with self._lock:
            self.late += late
            self.samples.append(Sample(number, at, latency, status, error))

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        url = self.url + path
        parts = urlsplit(url)
        connection: http.client.HTTPConnection | None = getattr(self._connections, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
            self._connections.connection = connection
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body or None, headers=self._signed(method, url, body, headers))
        response = connection.getresponse()
        return response.status, response.read()

    def _signed(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        if self.service is None:
            return dict(headers)
        keys = import_from_extra("botocore.credentials", "local").Credentials(
            self.credentials.access_key_id, self.credentials.secret_access_key
        )
        request = import_from_extra("botocore.awsrequest", "local").AWSRequest(
            method=method, url=url, data=body, headers=dict(headers)
        )
        signer = import_from_extra("botocore.auth", "local").SigV4Auth(keys, self.service, self.credentials.region)
        signer.add_auth(request)
        return dict(request.headers.items())


def _trace_id(number: int) -> str:
    return f"Root=1-00000000-{number:024x}"
