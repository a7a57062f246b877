"""One execution environment under awslambdaric: its Runtime API on loopback, its process, and its first answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from time import perf_counter, time
from typing import Any

VERSION = "/2018-06-01/runtime"
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
PATIENCE = 60.0  # seconds


class InvocationFailed(Exception):
    """The process raised an error, ended, or did not answer within PATIENCE."""


@dataclass(frozen=True)
class FirstAnswer:
    """What `first_answer` saw.

    Attributes:
        seconds: From the start of the process to the arrival of its answer.
        body: The answer.
        started: When the process was started, on the system's monotonic clock.
        process: Still alive, so that its memory can be read.
    """

    seconds: float
    body: Any
    started: float
    process: subprocess.Popen[bytes]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, event: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: Queue[bytes] = Queue()
        self.events.put(event)
        self.outcomes: Queue[tuple[str, float, bytes]] = Queue()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: every process is killed with its connection open."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        event = self.server.events.get()  # the second `next` never returns, as in a frozen environment
        head = {
            "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
            "Lambda-Runtime-Deadline-Ms": str(int(time() * 1000) + 30_000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:digits:live",
            "Content-Type": "application/json",
            "Content-Length": str(len(event)),
        }
        self.send_response(200)
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.outcomes.put((self.path.rsplit("/", 1)[-1], perf_counter(), body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def first_answer(command: str, task_root: Path, event: Any, environment: Mapping[str, str]) -> Iterator[FirstAnswer]:
    """Starts an environment, whose first event is already waiting, and gives its answer.

    Args:
        command: The function's command, such as `handler.handler`.
        task_root: What /var/task is in Lambda: the working directory, and so the first place to import from.
        event: The first event.
        environment: Variables on top of Lambda's own. This process's environment is not passed on.

    Raises:
        InvocationFailed: The message has what the process wrote.
    """
    server = _Server(json.dumps(event).encode())
    variables = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "digits",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "LAMBDA_TASK_ROOT": str(task_root),
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "PYTHONDONTWRITEBYTECODE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        **environment,
    }
    started = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "awslambdaric", command],
        cwd=task_root,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    threading.Thread(target=_report_end, args=(process, server.outcomes), daemon=True).start()
    try:
        kind, arrived, body = server.outcomes.get(timeout=PATIENCE)
        if kind != "response":
            raise InvocationFailed(f"{command}: {kind}: {body.decode(errors='replace')}")
        yield FirstAnswer(arrived - started, json.loads(body), started, process)
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()


def _report_end(process: subprocess.Popen[bytes], outcomes: Queue[tuple[str, float, bytes]]) -> None:
    """Drains what the process writes, as Lambda does, and reports its end."""
    assert process.stdout is not None
    with process.stdout:
        written = process.stdout.read()
    outcomes.put(("ended", perf_counter(), written))
