"""HTTP on loopback, turned into Lambda's events and back: where a client needs a socket."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from tests.runtime.conftest import Served
from tests.support import events

# What API Gateway's HTTP API passes on as text; any other body is in base64.
TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


class Api(ThreadingHTTPServer):
    """One served model. Lambda gives an execution environment one request at a time, hence the lock."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, served: Served) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.served = served
        self.lock = Lock()
        self.requests: list[dict[str, str]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Connection(BaseHTTPRequestHandler):
    """Keeps the connection open between requests, as API Gateway does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Api

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = dict(self.headers.items())
        path = self.path.partition("?")[0]
        event = self.server.served.source(self.command, "", headers, b"")
        if "rawPath" in event:
            text = headers.get("Content-Type", "").startswith(TEXT_TYPES) and "Content-Encoding" not in headers
            event |= {"rawPath": path}
        else:  # a REST API, of which the binary media types are */*
            text = False
            event |= {"path": path}
        event |= {"body": body.decode() if text else b64encode(body).decode(), "isBase64Encoded": not text}
        with self.server.lock:
            self.server.requests.append({name.lower(): value for name, value in headers.items()})
            answer = self.server.served.handler.handle(event, None)
        status, answered, content = events.answered(answer)
        self.send_response(status)
        for name, value in answered.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Says nothing."""


@contextmanager
def listening(served: Served) -> Iterator[Api]:
    """The model behind HTTP, until the block ends."""
    api = Api(served)
    thread = Thread(target=api.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        thread.join()
        api.server_close()
