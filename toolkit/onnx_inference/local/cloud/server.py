"""MiniStack's server in a thread of this process, and the environment variables that MiniStack reads."""

import asyncio
import concurrent.futures
import importlib
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from onnx_inference.local.cloud.patches import ministack

_Result = TypeVar("_Result")

#: MiniStack computes its URLs from the port when it is imported: a process keeps one port.
_port: int | None = None


class CloudError(RuntimeError):
    """The embedded cloud cannot start, or is not running."""


class MiniStackServer:
    """Serves MiniStack's HTTP API on loopback.

    Args:
        account: The account of requests that name none.
        region: The region of requests that name none.
    """

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._saved_environment: dict[str, str | None] = {}
        self._data_directory: Path | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert _port is not None
        return _port

    @property
    def url(self) -> str:
        """The URL at which it answers every AWS API."""
        return f"http://127.0.0.1:{_port}"

    # -- the process's environment ------------------------------------------------------------------------------

    def prepare(self, port: int | None) -> None:
        """Choose the port and set the environment variables. To be called before MiniStack is imported.

        Args:
            port: The port that the kept state has in its URLs; None when nothing is kept.

        Raises:
            CloudError: That port cannot be used.
        """
        global _port
        if port is not None and _port not in (None, port):
            raise CloudError(f"The kept state has URLs with the port {port}; this process runs clouds on {_port}.")
        if _port is None and port is not None and not _is_free(port):
            raise CloudError(f"The kept state has URLs with the port {port}, on which something else listens.")
        _port = _port or port or _free_port()
        self._data_directory = Path(tempfile.mkdtemp(prefix="onnx-inference-cloud-"))
        values = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(_port),
            "MINISTACK_HOST": "localhost",
            "MINISTACK_ACCOUNT_ID": self._account,
            "MINISTACK_REGION": self._region,
            "S3_DATA_DIR": str(self._data_directory / "s3"),
            "STATE_DIR": str(self._data_directory / "state"),
            "S3_PERSIST": "0",
            "PERSIST_STATE": "0",
            "LOCALSTACK_PERSISTENCE": "0",
            "AUTH": "false",
            "USE_SSL": "",
            "SERVICES": "",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }
        for name, value in values.items():
            self._saved_environment[name] = os.environ.get(name)
            os.environ[name] = value

    def caller_environment(self) -> dict[str, str]:
        """The process's environment without the variables that were set for MiniStack."""
        environment = dict(os.environ)
        for name, value in self._saved_environment.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        return environment

    def clean_up(self) -> None:
        """Put the environment variables back, and delete the files that MiniStack wrote."""
        for name, saved in self._saved_environment.items():
            if saved is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = saved
        self._saved_environment.clear()
        if self._data_directory is not None:
            shutil.rmtree(self._data_directory, ignore_errors=True)
        for leftover in ("ministack-provided-code", "ministack-lambda-extract"):
            shutil.rmtree(Path(tempfile.gettempdir()) / f"{leftover}-{_port}", ignore_errors=True)

    # -- serving ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, and return once it listens.

        Raises:
            CloudError: It did not come up.
        """
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="embedded-cloud", daemon=True)
        self._thread.start()
        ready.wait(timeout=30)
        if self._failure is not None or not ready.is_set():
            raise CloudError(f"The embedded cloud did not start: {self._failure}")
        _wait_for_port(self.port)

    def stop(self) -> None:
        """Stop the server."""
        assert self._loop is not None
        assert self._stopping is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=15)

    def run(self, action: Callable[[], _Result], *, account: str, region: str) -> _Result:
        """Run something on the server's event loop, where API handlers run too, in one account and region.

        Raises:
            CloudError: The cloud is stopping.
        """
        responses = ministack("core.responses")

        async def scoped() -> _Result:
            responses._request_account_id.set(account)
            responses._request_region.set(region)
            return action()

        if self._loop is None or self._loop.is_closed():
            raise CloudError("The embedded cloud does not run.")
        coroutine = scoped()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)
        except (RuntimeError, concurrent.futures.CancelledError, TimeoutError) as error:
            coroutine.close()
            raise CloudError(f"The embedded cloud is stopping: {error}") from error

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._main(ready))
        except BaseException as error:
            self._failure = error
            ready.set()

    async def _main(self, ready: threading.Event) -> None:
        config: Any = importlib.import_module("hypercorn.config").Config()
        config.bind = [f"127.0.0.1:{_port}"]
        config.keep_alive_timeout = 75
        config.loglevel = "WARNING"
        config.graceful_timeout = 0.5
        serve = importlib.import_module("hypercorn.asyncio").serve
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        ready.set()
        await serve(ministack("app").app, config, shutdown_trigger=self._stopping.wait)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise CloudError(f"The embedded cloud does not listen on port {port}.")
