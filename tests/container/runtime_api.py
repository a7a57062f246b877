"""A Lambda Runtime API and one container, alone in a network namespace that has loopback only.

Run as a program under `unshare --net`, it starts the command that it is given, answers the container's runtime, and
speaks with its parent in lines of JSON: an event per line in, an outcome per line out. It uses nothing but the standard
library, because it runs outside the test process.
"""

from __future__ import annotations

import fcntl
import json
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41
VERSION = "/2018-06-01/runtime"


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))


class RuntimeApi(ThreadingHTTPServer):
    """Holds the events that wait and the outcomes that come."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: queue.Queue[Any] = queue.Queue()
        self.outcomes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.asked = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        assert self.path == f"{VERSION}/invocation/next", self.path
        if not self.server.asked.is_set():
            self.server.asked.set()
            self.server.outcomes.put({"kind": "ready"})
        event = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        for name, value in {
            "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:digits:live",
            "Content-Type": "application/json",
            "Content-Length": str(len(event)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        kind = "init error" if self.path == f"{VERSION}/init/error" else self.path.rsplit("/", 1)[-1]
        self.server.outcomes.put({"kind": kind, "body": body})
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


def main(command: list[str]) -> None:
    """Starts `command` with `{api}` replaced by the API's address, and passes events and outcomes through."""
    bring_loopback_up()
    api = RuntimeApi()
    threading.Thread(target=api.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{api.server_port}"
    child = subprocess.Popen([part.replace("{api}", address) for part in command], stdout=sys.stderr)

    def watch() -> None:
        api.outcomes.put({"kind": "exit", "body": child.wait()})

    def feed() -> None:
        for line in sys.stdin:
            api.events.put(json.loads(line))

    for target in (watch, feed):
        threading.Thread(target=target, daemon=True).start()
    while True:
        outcome = api.outcomes.get()
        print(json.dumps(outcome), flush=True)
        if outcome["kind"] == "exit":
            return


if __name__ == "__main__":
    main(sys.argv[1:])
