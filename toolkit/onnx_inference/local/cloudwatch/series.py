"""A metric over time: one value per period."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onnx_inference.local.cloudwatch import statistics


@dataclass(frozen=True)
class Window:
    """Successive periods, aligned as in CloudWatch: to multiples of the period since 1970.

    Attributes:
        first: When the first period begins, in seconds since 1970.
        count: How many there are.
        period: The length of each, in seconds.
    """

    first: float
    count: int
    period: float

    @classmethod
    def around(cls, begin: float, end: float, period: float) -> "Window":
        """The periods that overlap with the time between two moments."""
        first = math.floor(begin / period)
        return cls(first * period, max(1, math.ceil(end / period) - first), period)

    def index(self, at: float) -> int | None:
        """The index of the period that a time is in; None when it is in none."""
        number = math.floor((at - self.first) / self.period)
        return number if 0 <= number < self.count else None


@dataclass(frozen=True)
class Series:
    """Values by the index of their period. A period without a value is missing."""

    window: Window
    points: Mapping[int, float]

    @classmethod
    def of(cls, values: Iterable[tuple[float, float]], statistic: str, window: Window) -> "Series":
        """A statistic of the values of each period.

        Raises:
            ValueError: The statistic is not computed here.
        """
        if not statistics.is_known(statistic):
            raise ValueError(f"the statistic {statistic} is not computed here")
        collected: dict[int, list[float]] = defaultdict(list)
        for at, value in values:
            number = window.index(at)
            if number is not None:
                collected[number].append(value)
        return cls(window, {number: statistics.of(statistic, kept) for number, kept in sorted(collected.items())})
