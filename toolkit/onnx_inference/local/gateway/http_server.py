"""The HTTP server in front of one API. It reads whole requests and writes whole responses."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from onnx_inference.local.lambda_host.invocation import InvocationRecord
from onnx_inference.local.loopback_server import LOOPBACK, LoopbackHandler, LoopbackServer

#: API Gateway's quota for a request's body.
BODY_LIMIT_BYTES = 10_485_760
#: How many seconds a client may send nothing on an open connection.
_CLIENT_TIMEOUT_SECONDS = 75
_LINE_LIMIT = 65_536
#: How many bytes of a body over the quota are read and thrown away before the answer.
_DISCARDED_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class HttpRequest:
    """One request as the client sent it. The names of headers keep their case."""

    method: str
    path: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    protocol: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """The value of a header; the values are joined by commas when it was sent more than once."""
        values = self.header_values(name)
        return ",".join(values) if values else None

    def header_values(self, name: str) -> list[str]:
        """Every value of a header."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def query(self) -> list[tuple[str, str]]:
        """The decoded query, in order."""
        return parse_qsl(self.query_string, keep_blank_values=True)


@dataclass(frozen=True)
class HttpResponse:
    """One response. `invocation` is the record of the invocation behind it; None when there was none."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    invocation: InvocationRecord | None = None

    def with_headers(self, headers: Iterable[tuple[str, str]]) -> "HttpResponse":
        """The response with headers set; those of the same name are replaced."""
        added = tuple(headers)
        names = {name.lower() for name, _ in added}
        kept = tuple((name, value) for name, value in self.headers if name.lower() not in names)
        return HttpResponse(self.status, kept + added, self.body, self.invocation)


@dataclass(frozen=True)
class RequestRecord:
    """One answered request.

    `trace_id` is the client's header X-Amzn-Trace-Id. `dimensions` are the dimensions of its metrics, API and stage;
    empty for function URLs, which have no such metrics.
    """

    api: str
    method: str
    path: str
    status: int
    duration_ms: float
    received_at: datetime
    invocation: InvocationRecord | None
    trace_id: str | None = None
    dimensions: tuple[tuple[str, str], ...] = ()


class ApiServer:
    """Serves one API on a loopback port.

    Args:
        api: The API's name, for the records.
        answer: Answers a request; called from many threads at once.
        too_large: The answer to a body over the quota.
        port: The port; 0 takes a free one.
        on_request: Called with the record of each answered request.
        dimensions: Tells the dimensions of the metrics of a request to a path. Default: it has no metrics.
    """

    def __init__(
        self,
        api: str,
        answer: Callable[[HttpRequest], HttpResponse],
        *,
        too_large: HttpResponse,
        port: int = 0,
        on_request: Callable[[RequestRecord], None] | None = None,
        dimensions: Callable[[str], tuple[tuple[str, str], ...]] = lambda _path: (),
    ) -> None:
        self.api = api
        self.dimensions = dimensions
        self.answer = answer
        self.too_large = too_large
        self.on_request = on_request
        self._server = LoopbackServer(type("Handler", (_Handler,), {"site": self}), port=port)
        self._server.start()

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at the end."""
        return f"http://{LOOPBACK}:{self._server.port}"

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self._server.stop()


class _BodyTooLarge(Exception):
    def __init__(self, remaining: int = 0) -> None:
        self.remaining = remaining


class _BadBody(Exception):
    pass


_BAD_REQUEST = HttpResponse(
    HTTPStatus.BAD_REQUEST, (("content-type", "application/json"),), b'{"message":"Bad Request"}'
)


class _Handler(LoopbackHandler):
    site: ApiServer
    timeout = _CLIENT_TIMEOUT_SECONDS

    def _serve(self) -> None:
        started, received_at = time.perf_counter(), datetime.now(UTC)
        try:
            response = self.site.answer(self._request())
        except _BodyTooLarge as error:
            self._discard(error.remaining)
            self.close_connection = True
            response = self.site.too_large
        except _BadBody:
            self.close_connection = True
            response = _BAD_REQUEST
        self._send(response)
        if self.site.on_request is not None:
            duration = (time.perf_counter() - started) * 1000
            self.site.on_request(
                RequestRecord(
                    self.site.api,
                    self.command,
                    self.path,
                    response.status,
                    duration,
                    received_at,
                    response.invocation,
                    self.headers.get("X-Amzn-Trace-Id"),
                    self.site.dimensions(self.path.partition("?")[0]),
                )
            )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - named by http.server

    def _request(self) -> HttpRequest:
        path, _, query = self.path.partition("?")
        return HttpRequest(
            method=self.command,
            path=path,
            query_string=query,
            headers=tuple((name, str(value)) for name, value in self.headers.items()),
            body=self._body(),
            source_ip=str(self.client_address[0]),
            protocol=self.request_version,
        )

    def _discard(self, remaining: int) -> None:
        """Read what a client still sends: most clients read the answer only after they have sent everything."""
        remaining = min(remaining, _DISCARDED_BYTES)
        while remaining > 0:
            chunk = self.rfile.read(min(remaining, _LINE_LIMIT))
            if not chunk:
                return
            remaining -= len(chunk)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked_body()
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit():
            raise _BadBody
        if int(length) > BODY_LIMIT_BYTES:
            raise _BodyTooLarge(int(length))
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise _BadBody
        return body

    def _chunked_body(self) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while True:
            try:
                size = int(self.rfile.readline(_LINE_LIMIT).partition(b";")[0].strip(), 16)
            except ValueError:
                raise _BadBody from None
            if size == 0:
                break
            total += size
            if size < 0 or total > BODY_LIMIT_BYTES:
                raise _BodyTooLarge
            chunk = self.rfile.read(size)
            if len(chunk) != size or self.rfile.readline(_LINE_LIMIT).strip():
                raise _BadBody
            chunks.append(chunk)
        while self.rfile.readline(_LINE_LIMIT).strip():
            pass
        return b"".join(chunks)

    def _send(self, response: HttpResponse) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, _one_line(value))
        bodiless = response.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if not bodiless:
            self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Date", self.date_time_string())
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(response.body)


def _one_line(value: str) -> str:
    """A header's value without line breaks, which would begin another header, and in Latin-1."""
    return value.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace").decode("latin-1")
