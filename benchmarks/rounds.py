"""Measures contenders in turns, and computes the figures.

A machine is not equally fast for minutes on end, so in each round every contender is measured once, and a ratio is
computed within each round, from values that are moments apart. The report has the median over the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from statistics import median, quantiles

Samples = dict[str, list[float]]

CONFIDENCE = 0.95


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    """Takes one sample of every contender per round. Each round begins with the next contender, so that none always
    has the first turn."""
    names = list(contenders)
    samples: Samples = {name: [] for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            samples[name].append(contenders[name]())
    return samples


def ratios(samples: Samples, of: str, to: str) -> list[float]:
    """`of` / `to` in each round."""
    return [one / other for one, other in zip(samples[of], samples[to], strict=True)]


def differences(samples: Samples, of: str, to: str) -> list[float]:
    """`of` - `to` in each round."""
    return [one - other for one, other in zip(samples[of], samples[to], strict=True)]


@dataclass(frozen=True)
class Figure:
    """One line of the report.

    Attributes:
        what: What is measured.
        baseline: What it is measured against.
        values: One per round.
        goal: The value that must not be exceeded; None where the figure is there for comparison.
        unit: Appended to each value; empty for a ratio.
    """

    what: str
    baseline: str
    values: list[float] = field(repr=False)
    goal: float | None = None
    unit: str = ""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The range of the middle half of the rounds."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        first, _, third = quantiles(self.values, n=4, method="inclusive")
        return first, third

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the median; no distribution is assumed."""
        return median_interval(self.values)

    @property
    def verdict(self) -> str:
        """`met` or `missed` where the whole interval is on one side of the goal."""
        if self.goal is None:
            return ""
        low, high = self.interval
        if high <= self.goal:
            return "met"
        if low > self.goal:
            return "missed"
        return "too close to call"


def median_interval(values: list[float]) -> tuple[float, float]:
    """The closest pair of order statistics that encloses the true median with at least CONFIDENCE.

    The number of values below the true median is binomial(n, 1/2). Fewer than six values have no such pair: the whole
    range is returned.
    """
    ordered = sorted(values)
    count = len(ordered)
    outside, left = 0.0, 0
    while left < count // 2:
        tail = comb(count, left) / 2**count
        if 2 * (outside + tail) > 1 - CONFIDENCE:
            break
        outside += tail
        left += 1
    first = max(0, left - 1)
    return ordered[first], ordered[count - 1 - first]


@dataclass(frozen=True)
class Table:
    """A breakdown that goes with a result's figures."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Chart:
    """A bar for each contender.

    Attributes:
        title: What the bars' lengths are.
        bars: The values of each round by label; the bar is their median.
        ours: The label that stands out.
        unit: Appended to each value; empty for a ratio.
    """

    title: str
    bars: dict[str, list[float]]
    ours: str
    unit: str = ""


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        name: Of its module, as `--only` takes it.
        title: Its subject.
        samples: Every contender's samples by name, in `unit`.
        unit: Of the samples.
        figures: Of the samples.
        chart: Its picture.
        tables: Further breakdowns.
    """

    name: str
    title: str
    samples: Samples
    unit: str
    figures: list[Figure]
    chart: Chart
    tables: list[Table] = field(default_factory=list)
