"""The twin's clock. Idle expiry, schedules and scaling run on it; it can run faster, or be advanced by hand."""

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

#: A wait on a slow or halted clock looks at least this often whether it was interrupted.
_LOOK_AGAIN_SECONDS = 0.5


class Clock:
    """Tells the twin's time.

    Functions do not run faster with it: their timeouts and durations are in seconds of this machine.

    Args:
        speed: How many seconds pass on it in one second of this machine. 0 halts it: then only `advance` moves it.
        start: The time at which it starts. Default: now.

    Raises:
        ValueError: The speed is negative, infinite or not a number.
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
        """Move it forward. What becomes due by that happens now.

        Raises:
            ValueError: The seconds are negative.
        """
        if seconds < 0:
            raise ValueError("A clock cannot be advanced by less than nothing.")
        with self._changed:
            self._advanced += seconds
            self._changed.notify_all()

    def wake(self) -> None:
        """Let every wait look at once whether it was interrupted."""
        with self._changed:
            self._changed.notify_all()

    def wait_until(self, moment: float, interrupted: Callable[[], bool]) -> bool:
        """Wait for a time on this clock.

        Args:
            moment: Seconds since 1970. Infinity waits until the interruption.
            interrupted: Tells whether to give up. Called often, and at once after `wake`.

        Returns:
            True at that time; False when it was interrupted before.
        """
        with self._changed:
            while not interrupted():
                remaining = moment - self.time()
                if remaining <= 0:
                    return True
                real = remaining / self.speed if self.speed else math.inf
                self._changed.wait(min(real, _LOOK_AGAIN_SECONDS))
            return False
