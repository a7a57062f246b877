"""Processes and ports that something that was stopped may have left behind."""

import socket
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    return _state_and_parent(pid)[0] not in ("", "Z")


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [child for child in pids if _state_and_parent(child)[1] == pid]


def listening(port: int) -> bool:
    """Whether something listens on a port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _state_and_parent(pid: int) -> tuple[str, int]:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return "", 0
    return state, int(parent)
