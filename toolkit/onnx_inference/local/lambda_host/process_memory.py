"""The memory of a process, as Linux accounts it.

Why not a resource limit: RLIMIT_AS and RLIMIT_DATA count address space, and an inference runtime reserves far more of
it than it touches (memory-mapped weights, arenas, thread stacks), so that a function well within its memory would fail.
What Lambda limits is the memory in use. So it is sampled while an invocation runs, and the process is killed when it
uses more than the function has. Pages of mapped files do not count: the kernel can drop them.
"""

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class ProcessMemory:
    """What one process uses, in bytes.

    `unreclaimable` is anonymous and shared memory; `peak` the most that was ever resident, mapped files included.
    """

    unreclaimable: int
    peak: int


def process_memory(pid: int) -> ProcessMemory | None:
    """Read the memory of a process; None when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("Rss", "VmHWM")))
    if "VmHWM" not in fields:
        return None
    kilobytes = {name: int(value.split()[0]) for name, value in fields.items()}
    return ProcessMemory(
        unreclaimable=1024 * (kilobytes.get("RssAnon", 0) + kilobytes.get("RssShmem", 0)),
        peak=1024 * kilobytes["VmHWM"],
    )
