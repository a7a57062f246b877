"""The memory of a process, as Linux accounts it.

Lambda limits the memory in use. The resource limits RLIMIT_AS and RLIMIT_DATA count address space instead, of which an
inference runtime reserves far more than it uses (memory-mapped weights, arenas, thread stacks). So the memory is
sampled while an invocation runs, and the process is killed when it uses more than the function has. Pages of mapped
files do not count, because the kernel can drop them.
"""

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class ProcessMemory:
    """What one process uses, in bytes.

    `unreclaimable` is anonymous and shared memory. `peak` is the most that was ever resident, mapped files included.
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
