"""Scales: they map values to places in a picture, and choose the values beside an axis."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LinearScale:
    """Maps low..high to begin..end."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value. Values outside of the scale are put at its end."""
        if self.high <= self.low:
            return self.begin
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)

    def ticks(self, most: int) -> list[float]:
        """At most this many round values, evenly spaced."""
        span = self.high - self.low
        if span <= 0 or most < 1:
            return [self.low]
        rough = span / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step for factor in (1, 2, 5, 10, 20) if span / (step := factor * power) <= most)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class LogScale:
    """Maps low..high to begin..end by their logarithms; low is above 0."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value. Values outside of the scale are put at its end."""
        inner = LinearScale(math.log10(self.low), math.log10(self.high), self.begin, self.end)
        return inner(math.log10(max(value, self.low)))

    def ticks(self) -> list[float]:
        """Powers of ten, with 2 and 5 between them where there are few."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        factors = (1, 2, 5) if last - first <= 2 else (1,)
        values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        return [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]

    @classmethod
    def around(cls, values: list[float], begin: float, end: float) -> "LogScale":
        """A scale from a round value below all of these to one above."""
        low, high = (min(values), max(values)) if values else (1.0, 1000.0)
        return cls(_round_down(max(low, 0.1)), _round_up(max(high, 0.2)), begin, end)


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * 1.0001)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.9999)
