"""SnapStart: what must not be in a snapshot, and what must differ between the environments restored from it.

When the snapshot is taken, the models are loaded and have run once, and their files are in the page cache. The snapshot
includes all of that memory. awslambdaric runs the hooks that are registered with `snapshot_restore_py`.

A processing file may define `before_snapshot()`, to close connections, and `after_restore()`, to open them again and to
seed random generators of its own. If the first raises, Lambda does not publish the version; if the second raises, it
does not use the environment.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator

from snapshot_restore_py import register_after_restore, register_before_snapshot  # type: ignore[import-untyped]

from onnx_handler.models.model import Model
from onnx_handler.models.repository import Repository

_log = logging.getLogger("onnx_handler")

_ESTABLISHED = "01"  # in /proc/net/tcp


def register(repository: Repository) -> None:
    """Registers the hooks for these models; they run in the order of the models."""
    register_before_snapshot(before_snapshot, repository)
    register_after_restore(after_restore, repository)


def before_snapshot(repository: Repository) -> None:
    """Runs the processing files' hooks, then warns of connections that are still open."""
    for model in _models(repository):
        if (hook := model.processing.before_snapshot) is not None:
            hook()
    gc.collect()
    for peer in connections():
        _log.warning(
            "a connection to %s is open while the snapshot is taken, and will be dead in every environment restored "
            "from it: close it in before_snapshot() of the processing file",
            peer,
        )


def after_restore(repository: Repository) -> None:
    """Seeds the random generators, allows models to be loaded again, then runs the processing files' hooks.

    `os.urandom`, `secrets`, `uuid.uuid4` and TLS use the kernel's randomness, which differs by itself.
    """
    if (random := sys.modules.get("random")) is not None:
        random.seed()
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()  # the global state behind numpy.random.rand and others
    repository.restored()
    for model in _models(repository):
        if (hook := model.processing.after_restore) is not None:
            hook()


def connections() -> Iterator[str]:
    """The peers' addresses of all TCP connections that this process has open."""
    own = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib is not worth its import here
        try:
            own.add(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        except OSError:  # the descriptor of the listing itself
            continue
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:  # noqa: PTH123
                lines = file.readlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _ESTABLISHED and f"socket:[{fields[9]}]" in own:
                yield _address(fields[2])


def _address(peer: str) -> str:
    """`0100007F:1F90` as `127.0.0.1:8080`: the kernel writes words of four bytes, in the machine's byte order."""
    from socket import AF_INET, AF_INET6, inet_ntop

    address, port = peer.split(":")
    words = [int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
    return f"{inet_ntop(AF_INET if len(words) == 1 else AF_INET6, b''.join(words))}:{int(port, 16)}"


def _models(repository: Repository) -> list[Model]:
    return [served.model for served in repository.in_memory() if served.model is not None]
