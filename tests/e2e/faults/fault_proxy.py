"""A loopback proxy between functions and the embedded cloud that misbehaves at random, by rates and a seed.

It throttles, refuses and delays calls, and loses answers: then the call is made, and its caller gets no answer.
"""

import collections
import contextlib
import http.client
import random
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from onnx_inference.local.loopback_server import LoopbackHandler, LoopbackServer

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9]+)/aws4_request")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date", "server"}

KINDS = ("throttled", "failed", "lost", "delayed")


@dataclass(frozen=True)
class Faults:
    """How often calls of one service go wrong. Each is a share of all calls, from 0 to 1.

    Attributes:
        throttled: Refused because of too many requests, in the service's own words. Nothing happens.
        failed: Refused with an internal error, or the connection is closed. Nothing happens.
        lost: The call is made, and the answer lost: an internal error, or the connection is closed.
        delayed: Made after `delay_seconds`.
        delay_seconds: How long the delay is.
    """

    throttled: float = 0.0
    failed: float = 0.0
    lost: float = 0.0
    delayed: float = 0.0
    delay_seconds: float = 0.2


class FaultProxy:
    """The proxy. A context manager.

    Args:
        seed: It and the order of the calls determine which calls go wrong.
    """

    def __init__(self, seed: int) -> None:
        self.upstream = ""
        #: How many calls were made, by service, and how many went wrong, by service and kind.
        self.counts: collections.Counter[str] = collections.Counter()
        self._faults: Mapping[str, Faults] = {}
        # Kinds that have not occurred yet, by service. They occur soon: a short run must have each of them.
        self._due: dict[str, list[str]] = {}
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._server = LoopbackServer(_handler_of(self))

    def __enter__(self) -> "FaultProxy":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """The URL for the functions."""
        return f"http://127.0.0.1:{self._server.port}"

    @contextlib.contextmanager
    def misbehaving(self, **faults: Faults) -> Iterator[None]:
        """Misbehave for a while: `dynamodb=Faults(...)`, `s3=...`, `sqs=...`."""
        self._faults = faults
        self._due = {service: [kind for kind in KINDS if getattr(of, kind)] for service, of in faults.items()}
        try:
            yield
        finally:
            self._faults = {}

    def draw(self, service: str) -> tuple[str, bool, Faults]:
        """What happens to one call: a kind of fault or `made`; in which of two ways; and the service's faults."""
        faults = self._faults.get(service, Faults())
        with self._lock:
            point, way = self._random.random(), self._random.random() < 0.5
            kind = "made"
            for name in KINDS:
                share = getattr(faults, name)
                if point < share:
                    kind = name
                    break
                point -= share
            self.counts[service] += 1
            due = self._due.get(service)
            if kind == "made" and due and self.counts[service] % 3 == 0:
                kind = due[0]
            if kind != "made":
                self.counts[f"{service} {kind}"] += 1
                if due and kind in due:
                    due.remove(kind)
        return kind, way, faults

    def forward(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> http.client.HTTPResponse:
        """Make a call; the connection is the thread's own."""
        parts = urlsplit(self.upstream)
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            if connection is None or self._local.upstream != self.upstream:
                connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._local.connection, self._local.upstream = connection, self.upstream
                attempt = 2
            try:
                connection.request(method, target, body=body or None, headers=dict(headers))
                return connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # An idle connection that the cloud closed meanwhile.
                self._local.connection = None
                if attempt == 2:
                    raise
        raise AssertionError("not reached")


def service_of(headers: Mapping[str, str], path: str) -> str:
    """The service that a request is signed for. A presigned URL is always of S3."""
    match = _SCOPE.search(headers.get("authorization", ""))
    return match[1] if match else "s3"


def throttled(service: str) -> tuple[int, str, bytes]:
    """A service's own words for too many requests."""
    if service == "s3":
        return (
            503,
            "application/xml",
            b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>",
        )
    if service == "sqs":
        text = b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}'
        return 400, "application/x-amz-json-1.0", text
    text = (
        b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",'
        b'"message":"The level of configured provisioned throughput for the table was exceeded."}'
    )
    return 400, "application/x-amz-json-1.0", text


def internal_error(service: str) -> tuple[int, str, bytes]:
    """A service's own words for an error of its own."""
    if service == "s3":
        return (
            500,
            "application/xml",
            b"<Error><Code>InternalError</Code><Message>An error.</Message></Error>",
        )
    return 500, "application/x-amz-json-1.0", b'{"__type":"InternalServerError","message":"The request failed."}'


def _handler_of(proxy: FaultProxy) -> type[LoopbackHandler]:
    class Handler(LoopbackHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body(headers)
            service = service_of(headers, self.path)
            kind, way, faults = proxy.draw(service)
            if kind == "throttled":
                self._answer(*throttled(service))
            elif kind == "failed" and way:
                self._answer(*internal_error(service))
            elif kind == "failed":
                self.close_connection = True
            else:
                if kind == "delayed":
                    time.sleep(faults.delay_seconds)
                self._forward(service, headers, body, lost=kind == "lost", way=way)

        do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

        def _body(self, headers: Mapping[str, str]) -> bytes:
            if headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _forward(self, service: str, headers: Mapping[str, str], body: bytes, *, lost: bool, way: bool) -> None:
            sent = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
            sent["content-length"] = str(len(body))
            try:
                response = proxy.forward(self.command, self.path, sent, body)
                content = response.read()
            except (OSError, http.client.HTTPException):
                # The cloud is away, as when the twin is started again.
                self.close_connection = True
                return
            if lost and way:
                self._answer(*internal_error(service))
                return
            if lost:
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = response.getheader("content-length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def _answer(self, status: int, content_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()

    return Handler
