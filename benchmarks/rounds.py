"""Contenders measured in turns, and the figures that come of it.

A machine is never equally fast for minutes on end, so no contender has minutes of its own: in each round everybody is
measured once, and a figure is taken within each round, of values that are moments apart. What is reported is the median
over the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from statistics import median, quantiles

Samples = dict[str, list[float]]

CONFIDENCE = 0.95


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    """Takes one sample of every contender per round; each round begins one further, so that nobody always follows
    the same one."""
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
        what: what is measured.
        baseline: what it is measured against.
        values: one per round.
        goal: the value not to be exceeded; None where the figure is there for comparison.
        unit: appended to each value; empty for a ratio.
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
        """What the middle half of the rounds lies between."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        first, _, third = quantiles(self.values, n=4, method="inclusive")
        return first, third

    @property
    def interval(self) -> tuple[float, float]:
        """What the true median lies between, with a confidence of 95 %; assumes nothing about the distribution."""
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
    """The tightest pair of order statistics that holds the true median with at least CONFIDENCE.

    The number of values below the true median is binomial(n, 1/2). With fewer than six values no pair is good enough,
    and the whole range is given.
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
    """A breakdown that belongs to a result but is not a figure with a goal."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Chart:
    """A bar for each of several.

    Attributes:
        title: what the bars' lengths are.
        bars: the values of each round by label; the bar is their median.
        ours: the label that stands out.
        unit: appended to each value; empty for a ratio.
    """

    title: str
    bars: dict[str, list[float]]
    ours: str
    unit: str = ""


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        name: of its module, as `--only` takes it.
        title: its subject.
        samples: every contender's samples by name, in `unit`.
        unit: of the samples.
        figures: of the samples.
        chart: its picture.
        tables: what else was found.
    """

    name: str
    title: str
    samples: Samples
    unit: str
    figures: list[Figure]
    chart: Chart
    tables: list[Table] = field(default_factory=list)
