"""Throttling by a token bucket, as in API Gateway: a steady rate and a burst."""

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """Holds `burst` tokens, filled at `rate` per second; each request takes one.

    Args:
        rate: Requests per second in the long run.
        burst: Requests at once.
        clock: Tells the time in seconds. Default: this machine's monotonic clock.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a token; False when there is none."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Throttles:
    """The buckets of one API, one for each route or method."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, float, int], TokenBucket] = {}
        self._lock = threading.Lock()

    def allows(self, key: str, rate: float | None, burst: int | None) -> bool:
        """Whether one more request is within the limit. Without a limit it always is."""
        if rate is None or burst is None:
            return True
        with self._lock:
            bucket = self._buckets.setdefault((key, rate, burst), TokenBucket(rate, burst))
        return bucket.take()
