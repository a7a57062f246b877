"""A real awslambdaric in a process of its own, and the Runtime API that it calls, with SnapStart's two calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from tests.support.synth import ROOT

VERSION = "/2018-06-01/runtime"
PATIENCE = 60.0  # seconds


class Environment(ThreadingHTTPServer):
    """One execution environment.

    Attributes:
        calls: the runtime's calls in order, as paths below the API's version, with their bodies.
        process: the process of awslambdaric.
        log: what it printed; complete once it has ended.
    """

    daemon_threads = True
    process: subprocess.Popen[str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: Queue[tuple[str, Any]] = Queue()
        self.events: Queue[Any] = Queue()
        self.restored = threading.Event()
        self.log: list[str] = []

    def next_call(self, path: str) -> Any:
        """The body of the next call, which has to be this one; None when it has no body.

        Raises:
            AssertionError: It is another call.
        """
        called, body = self.calls.get(timeout=PATIENCE)
        assert called == path, (called, body, "".join(self.log))
        return body

    def answer(self, event: Any) -> Any:
        """Gives an event to a runtime that waits for one, and returns its answer."""
        self.events.put(event)
        answered = self.next_call("/invocation/id/response")
        self.next_call("/invocation/next")
        return answered

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: processes are killed here while their connection is open."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Environment

    def do_GET(self) -> None:
        path = self.path.removeprefix(VERSION)
        self.server.calls.put((path, None))
        if path == "/restore/next":
            self.server.restored.wait()
            self._send(200, b"")
        else:
            event = json.dumps(self.server.events.get()).encode()
            self._send(200, event)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        self.server.calls.put((self.path.removeprefix(VERSION), body))
        self._send(202, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Lambda-Runtime-Aws-Request-Id": "id",
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:f:live",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def environment(task_root: Path, variables: Mapping[str, str]) -> Iterator[Environment]:
    """Starts the handler for APIs, with Lambda's environment variables and these, and no others of this process."""
    api = Environment()
    threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    api.process = subprocess.Popen(
        [sys.executable, "-m", "awslambdaric", "onnx_handler.http.handler"],
        cwd=task_root,
        env={
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "LAMBDA_TASK_ROOT": str(task_root),
            "ORT_DISABLE_TELEMETRY": "1",
            "PATH": os.defpath,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT / "runtime"),
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert api.process.stdout is not None
    reader = threading.Thread(target=api.log.extend, args=(api.process.stdout,), daemon=True)
    reader.start()
    try:
        yield api
    finally:
        api.process.kill()
        api.process.wait()
        reader.join()
        api.process.stdout.close()
        api.restored.set()
        api.shutdown()
        api.server_close()
