"""S3 for the benchmarks, in a process of its own: answers ranged GETs of one directory's files.

    python -m benchmarks.loading.s3_server DIRECTORY LATENCY_MS MB_PER_SECOND_OF_A_CONNECTION

Prints its port. S3's connections each give some 85-90 MB/s after some tens of milliseconds (AWS, "Performance design
patterns for Amazon S3").
"""

from __future__ import annotations

import os
import sys
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PIECE = 1024**2


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory: Path
    latency: float  # seconds before an answer
    rate: float  # bytes per second of a connection

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        time.sleep(self.latency)
        name = unquote(urlsplit(self.path).path).split("/", 2)[2]
        file = os.open(self.directory / name, os.O_RDONLY)
        size = os.fstat(file).st_size
        first, last = 0, size - 1
        if asked := self.headers.get("Range"):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), int(end) if end else last
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if with_body:
            self._send(file, first, last + 1)
        os.close(file)

    def _send(self, file: int, at: int, end: int) -> None:
        started, sent = time.monotonic(), 0
        while at < end:
            count = os.sendfile(self.connection.fileno(), file, at, min(PIECE, end - at))
            at, sent = at + count, sent + count
            time.sleep(max(0.0, started + sent / self.rate - time.monotonic()))

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main(directory: str, latency: str, rate: str) -> None:
    Handler.directory = Path(directory)
    Handler.latency = float(latency) / 1000
    Handler.rate = float(rate) * 1e6
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
