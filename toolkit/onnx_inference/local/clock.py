"""The twin's clock: idle expiry, schedules and scaling run on it, and it can be sped up or advanced by hand."""

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

#: How long a wait on a slow or halted clock sleeps at most before it looks again whether it was interrupted.
_LOOK_AGAIN_SECONDS = 0.5


class Clock:
    """Tells the twin's time.

    What functions themselves do takes as long as it takes: their processes know nothing of it, and their timeouts
    and durations are those of this machine.

    Args:
        speed: Seconds that pass on it in one second of this machine. 0 halts it: it then moves only by `advance`.
        start: The time it begins at. Default: now.

    Raises:
        ValueError: The speed is negative or no number.
    """

    def __init__(self, speed: float = 1.0, *, start: datetime | None = None) -> None:
        if not math.isfinite(speed) or speed < 0:
            raise ValueError(f"A clock's speed is a number from 0 up, not {speed!r}.")
        self.speed = speed
        self._began = time.monotonic()
        self._start = time.time() if start is None else start.timestamp()
        self._advanced = 0.0
        self._changed = threading.Condition()

    def time(self) -> float:
        """Seconds since 1970 on this clock."""
        return self._start + (time.monotonic() - self._began) * self.speed + self._advanced

    def now(self) -> datetime:
        """The time on this clock, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move it forward; what falls due by that happens.

        Raises:
            ValueError: It cannot go back.
        """
        if seconds < 0:
            raise ValueError("A clock cannot be advanced by less than nothing.")
        with self._changed:
            self._advanced += seconds
            self._changed.notify_all()

    def wake(self) -> None:
        """Let everybody who waits look again whether they were interrupted."""
        with self._changed:
            self._changed.notify_all()

    def wait_until(self, moment: float, interrupted: Callable[[], bool]) -> bool:
        """Wait for a time on this clock.

        Args:
            moment: Seconds since 1970; infinity waits for the interruption.
            interrupted: Whether to give up. Looked at often, and at once after `wake`.

        Returns:
            True at that time, False when interrupted before it.
        """
        with self._changed:
            while not interrupted():
                remaining = moment - self.time()
                if remaining <= 0:
                    return True
                real = remaining / self.speed if self.speed else math.inf
                self._changed.wait(min(real, _LOOK_AGAIN_SECONDS))
            return False
