"""How many requests an API accepts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket in front of the function. Requests beyond it are answered with 429 and cost no Lambda time.

    The defaults limit what a faulty client can cost, and leave concurrency to the account's other functions: 100
    requests a second of 100 ms each keep 10 of the account's 1,000 environments busy.

    Args:
        rate_limit: Requests per second over time, a number above 0, not necessarily whole. Default: 100.
        burst_limit: Requests at once, a whole number above 0. Default: 200.

    A change updates the stage in place.
    """

    rate_limit: float = 100
    burst_limit: int = 200
