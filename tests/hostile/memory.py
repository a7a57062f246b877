"""A limit on this process's memory: a request that would take gigabytes fails instead."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def at_most_more_memory(size: int) -> Iterator[None]:
    """Lets the process map `size` bytes more than it has; beyond that, an allocation raises MemoryError."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():  # only Linux enforces the limit
        yield
        return
    pages = int(statistics.read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
