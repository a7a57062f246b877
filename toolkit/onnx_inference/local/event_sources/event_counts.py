"""Counts of the events that an event source mapping or a pipe has carried."""

import threading
from collections.abc import Mapping

_NAMES = ("received", "batches", "deleted", "failed", "filtered", "throttled")


class EventCounts:
    """Counts by the names of `EventSource`. Safe to use from many threads."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_NAMES, 0)
        self._lock = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            for name, value in counts.items():
                self._counts[name] += value

    def so_far(self) -> Mapping[str, int]:
        """Every count by its name."""
        with self._lock:
            return dict(self._counts)
