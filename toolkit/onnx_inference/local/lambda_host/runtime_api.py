"""The Lambda Runtime API (2018-06-01) for one execution environment."""

import json
import queue
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from onnx_inference.local.loopback_server import LOOPBACK, LoopbackHandler, LoopbackServer

_PREFIX = "/2018-06-01/runtime/"


@dataclass
class RuntimeInvocation:
    """One event for the runtime, and what the runtime answered."""

    request_id: str
    payload: bytes
    deadline_ms: int
    invoked_function_arn: str
    trace_id: str
    finished: threading.Event = field(default_factory=threading.Event)
    response: bytes | None = None
    error: bytes | None = None

    def headers(self) -> dict[str, str]:
        """The headers of `GET /runtime/invocation/next`."""
        return {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.invoked_function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }


class RuntimeApi:
    """Serves one runtime process: gives it one event at a time and takes its answers.

    Attributes:
        initialised: Set when the runtime first asks for an event or, with SnapStart, waits to be restored; or when it
            reports that it cannot.
        ready: Set when the runtime first asks for an event, or reports that it cannot.
        init_error: What the runtime posted to `init/error`, when it did.
        restore_error: What the runtime posted to `restore/error`, when it did.
    """

    def __init__(self) -> None:
        self.initialised = threading.Event()
        self.ready = threading.Event()
        self.init_error: bytes | None = None
        self.restore_error: bytes | None = None
        self._restoring = threading.Event()
        self._closed = False
        self._events: queue.SimpleQueue[RuntimeInvocation | None] = queue.SimpleQueue()
        self._current: RuntimeInvocation | None = None
        self._server = LoopbackServer(type("Handler", (_Handler,), {"api": self}))
        self._server.start()

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API."""
        return f"{LOOPBACK}:{self._server.port}"

    def offer(self, invocation: RuntimeInvocation) -> None:
        """Give the runtime its next event. `invocation.finished` is set when it has answered."""
        self._current = invocation
        self._events.put(invocation)

    def restore(self) -> None:
        """Let a runtime that waits at its snapshot continue."""
        self._restoring.set()

    def close(self) -> None:
        """Stop serving. A waiting runtime is disconnected, and exits."""
        self._closed = True
        self._restoring.set()
        self._events.put(None)
        self._server.stop()

    # -- the runtime's calls ------------------------------------------------------------------------------------

    def next_invocation(self) -> RuntimeInvocation | None:
        """Wait for the next event; None when the environment ends."""
        self.initialised.set()
        self.ready.set()
        return self._events.get()

    def next_restore(self) -> bool:
        """Wait at the snapshot until the environment is restored; False when it ends."""
        self.initialised.set()
        self._restoring.wait()
        return not self._closed

    def fail_restore(self, error: bytes) -> None:
        """Take the runtime's report that a hook failed after the restore."""
        self.restore_error = error
        self.ready.set()

    def finish(self, request_id: str, *, response: bytes | None = None, error: bytes | None = None) -> bool:
        """Take the answer to the current event; False when it answers another one."""
        current = self._current
        if current is None or current.request_id != request_id or current.finished.is_set():
            return False
        current.response, current.error = response, error
        current.finished.set()
        return True

    def fail_init(self, error: bytes) -> None:
        """Take the runtime's report that the function cannot be initialised."""
        self.init_error = error
        self.initialised.set()
        self.ready.set()


class _Handler(LoopbackHandler):
    api: RuntimeApi

    def do_GET(self) -> None:  # noqa: N802 - named by http.server
        if self.path == f"{_PREFIX}restore/next":
            if not self.api.next_restore():
                self.close_connection = True
                return None
            return self._answer(HTTPStatus.OK, b"")
        if self.path != f"{_PREFIX}invocation/next":
            return self._answer(HTTPStatus.NOT_FOUND, _error("NotFound", self.path))
        invocation = self.api.next_invocation()
        if invocation is None:
            self.close_connection = True
            return None
        return self._answer(HTTPStatus.OK, invocation.payload, invocation.headers())

    def do_POST(self) -> None:  # noqa: N802 - named by http.server
        body = self._body()
        if self.path == f"{_PREFIX}init/error":
            self.api.fail_init(body)
            return self._answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}')
        if self.path == f"{_PREFIX}restore/error":
            self.api.fail_restore(body)
            return self._answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}')
        head, _, kind = self.path.removeprefix(f"{_PREFIX}invocation/").rpartition("/")
        if kind not in ("response", "error"):
            return self._answer(HTTPStatus.NOT_FOUND, _error("NotFound", self.path))
        taken = self.api.finish(head, **{kind: body})
        if not taken:
            return self._answer(HTTPStatus.BAD_REQUEST, _error("InvalidRequestID", "Invalid request ID"))
        return self._answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}')

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().partition(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _error(kind: str, message: str) -> bytes:
    value: dict[str, Any] = {"errorType": kind, "errorMessage": message}
    return json.dumps(value).encode()
