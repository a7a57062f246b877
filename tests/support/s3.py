"""The part of S3 that answers GET requests, on loopback: with ranges, faults on demand, and a record of requests."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from onnx_handler.model_objects import Part

BUCKET = "models"


class Ask:
    """One request: the object's key, the range of bytes, and the headers."""

    def __init__(self, key: str, first: int, last: int, headers: Mapping[str, str]) -> None:
        self.key, self.first, self.last, self.headers = key, first, last, headers


# Answers a request itself and returns True, or returns False and leaves the answer to S3.
Fault = Callable[[BaseHTTPRequestHandler, Ask], bool]


class S3(ThreadingHTTPServer):
    """The server, with one bucket.

    Attributes:
        objects: the objects of the bucket `models`, by key.
        asked: every request since the last `forget`.
        fault: called with each request first.
        pause: seconds before each piece of an answer, which make a download slow.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.asked: list[Ask] = []
        self.fault: Fault | None = None
        self.pause = 0.0
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make a client use this server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_port}",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token",
            "AWS_REGION": "eu-central-1",
        }

    def put(self, files: Mapping[str, bytes], prefix: str = "") -> tuple[Part, ...]:
        """Adds the files of a model, and returns its parts."""
        parts = []
        for path, content in sorted(files.items()):
            key = f"{prefix}{path}"
            self.objects[key] = content
            parts.append(Part(path, BUCKET, key, len(content), hashlib.sha256(content).hexdigest()))
        return tuple(parts)

    def record(self, ask: Ask) -> None:
        """Keeps a request."""
        with self._lock:
            self.asked.append(ask)

    def bytes_asked(self) -> int:
        """How many bytes the requests since the last `forget` asked for."""
        return sum(ask.last - ask.first + 1 for ask in self.asked)

    def forget(self) -> None:
        """Forgets the requests so far."""
        with self._lock:
            self.asked.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: clients are killed here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3

    def do_GET(self) -> None:
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        ask = Ask(key, first, last, dict(self.headers))
        self.server.record(ask)
        if self.server.fault is not None and self.server.fault(self, ask):
            return
        content = self.server.objects.get(key)
        if bucket != BUCKET or content is None:
            refuse(self, 404, "NoSuchKey", "The specified key does not exist.")
            return
        if first >= len(content):
            refuse(self, 416, "InvalidRange", "The requested range is not satisfiable")
            return
        last = min(last, len(content) - 1)
        answer(self, content[first : last + 1], f"bytes {first}-{last}/{len(content)}", self.server.pause)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def answer(handler: BaseHTTPRequestHandler, body: bytes, content_range: str, pause: float = 0.0) -> None:
    """A part of an object."""
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Content-Range", content_range)
    handler.end_headers()
    step = 65536 if pause else len(body)
    for at in range(0, len(body), step or 1):
        if pause:
            time.sleep(pause)
        handler.wfile.write(body[at : at + step])


def refuse(handler: BaseHTTPRequestHandler, status: int, code: str, message: str, **headers: str) -> None:
    """An error in S3's form."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serving() -> Iterator[S3]:
    """A server for as long as the block runs."""
    server = S3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def document(parts: tuple[Part, ...]) -> dict[str, Any]:
    """The value of MODEL_OBJECTS for these parts."""
    return {"parts": [{"path": p.path, "uri": p.uri, "size": p.size, "sha256": p.sha256} for p in parts]}
