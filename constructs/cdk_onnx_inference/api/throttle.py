"""How many requests an API lets through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket in front of the function: what exceeds it is answered with 429 and costs no Lambda time.

    The defaults bound what a runaway client can spend, and leave the account's other functions their share: 100
    requests a second of 100 ms each keep 10 of the account's 1,000 environments busy.

    Args:
        rate_limit: Requests per second in the long run; above 0, also a fraction. Default: 100.
        burst_limit: Requests that may come at once; a whole number above 0. Default: 200.

    A change updates the stage in place.
    """

    rate_limit: float = 100
    burst_limit: int = 200
