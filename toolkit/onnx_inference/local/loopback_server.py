"""A threaded HTTP/1.1 server on loopback. It stops at once and closes every connection."""

import contextlib
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

LOOPBACK = "127.0.0.1"


class LoopbackServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections on 127.0.0.1 and serves each in a thread.

    The loop of `socketserver` polls and takes half a second to stop. This one blocks in `accept`, and closing the
    socket ends it.

    Args:
        handler: The request handler's class.
        port: The port; 0 takes a free one.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, handler: type[BaseHTTPRequestHandler], *, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), handler)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._acceptor = threading.Thread(target=self._accept, name=f"accept-{self.port}", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self.server_address[1]
        return port

    def start(self) -> None:
        """Accept connections from now on."""
        self._acceptor.start()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        with self._lock:
            self._stopped = True
            connections = list(self._connections)
        for connection in [self.socket, *connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        if self._acceptor.is_alive():
            self._acceptor.join(timeout=5)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, address = self.socket.accept()
            except OSError:
                return
            with self._lock:
                if self._stopped:
                    connection.close()
                    return
                self._connections.add(connection)
            self.process_request(connection, address)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection after its last request."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing when the client has gone away; that is not an error of the server."""
        if isinstance(sys.exc_info()[1], OSError):
            return
        super().handle_error(request, client_address)


class LoopbackHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; one write per response; nothing printed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def version_string(self) -> str:
        """The value of the Server header; it tells nothing about this machine."""
        return "onnx-inference"

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the callers keep their own records."""
