"""The numbers that sum up a load."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from onnx_inference.local.load.load_test import LoadResult, Sample


@dataclass(frozen=True)
class Latencies:
    """Percentiles of the latency of some requests, in milliseconds; None when there is no such request."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None
    longest: float | None

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Latencies":
        """Of those of the requests that succeeded."""
        values = sorted(sample.latency_ms for sample in samples if sample.succeeded)
        return cls(
            len(values), percentile(values, 50), percentile(values, 90), percentile(values, 99), percentile(values, 100)
        )


@dataclass(frozen=True)
class LoadSummary:
    """The numbers of a load.

    Attributes:
        requests: How many were sent.
        answered: How many were answered without an error.
        failures: How many failed, by status (0: no answer).
        rate: Answers per second of this machine.
        cold: The latency of requests that waited for an environment to be made or restored.
        waited: The latency of requests that waited because this machine allows no more environments.
        warm: The latency of all other requests.
        spillovers: How many requests were beyond the provisioned concurrency.
        throttles: How many invocations were refused.
        peak_environments: The most environments that were ready or busy at one time.
        peak_busy: The most environments that were busy at one time.
        provisioned: The most provisioned environments at one time.
        pings: How many pings of warmers there were during the load.
    """

    requests: int
    answered: int
    failures: dict[int, int]
    rate: float
    cold: Latencies
    waited: Latencies
    warm: Latencies
    spillovers: int
    throttles: int
    peak_environments: int
    peak_busy: int
    provisioned: int
    pings: int

    @classmethod
    def of(cls, result: LoadResult) -> "LoadSummary":
        """Of a load."""
        failures: dict[int, int] = {}
        for sample in result.samples:
            if not sample.succeeded:
                failures[sample.status] = failures.get(sample.status, 0) + 1
        answered = len(result.samples) - sum(failures.values())
        invocations = [sample.invocation for sample in result.samples if sample.invocation is not None]
        start, end = result.started_at, result.ended_at
        lives = [_within(e.ready_at, e.ended_at or end, start, end) for e in result.environments]
        busy = [_within(s.started_at, s.ended_at or end, start, end) for e in result.environments for s in e.busy]
        return cls(
            requests=len(result.samples),
            answered=answered,
            failures=failures,
            rate=answered / result.seconds if result.seconds else 0.0,
            cold=Latencies.of(sample for sample in result.samples if sample.cold),
            waited=Latencies.of(sample for sample in result.samples if sample.waited),
            warm=Latencies.of(sample for sample in result.samples if not sample.cold and not sample.waited),
            spillovers=sum(invocation.spillover for invocation in invocations),
            throttles=len(result.throttles),
            peak_environments=_peak(lives),
            peak_busy=_peak(busy),
            provisioned=_peak(
                [life for life, e in zip(lives, result.environments, strict=True) if e.provisioned_for is not None]
            ),
            pings=sum(s.kind == "ping" and start <= s.started_at <= end for e in result.environments for s in e.busy),
        )


def percentile(values: Sequence[float], rank: float) -> float | None:
    """The nearest-rank percentile of sorted values: always one of them; None when there are none."""
    return values[max(0, math.ceil(rank / 100 * len(values)) - 1)] if values else None


_Span = tuple[datetime, datetime]


def _within(begin: datetime | None, end: datetime, low: datetime, high: datetime) -> _Span | None:
    """The part of a span between two times; None when there is none."""
    if begin is None or begin > high or end < low:
        return None
    return max(begin, low), min(end, high)


def _peak(spans: Iterable[_Span | None]) -> int:
    """The most spans that overlap at one time. One that ends where another begins does not overlap with it."""
    events = sorted(
        event for span in spans if span is not None for event in ((span[0], 1), (span[1], -1)) if span[0] < span[1]
    )
    highest = level = 0
    for _, change in events:
        level += change
        highest = max(highest, level)
    return highest
