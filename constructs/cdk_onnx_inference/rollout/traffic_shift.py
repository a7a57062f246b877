"""How traffic goes over to a new version."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficShift:
    """How traffic goes over to a new version: one of the three forms below."""

    @staticmethod
    def all_at_once() -> AllAtOnce:
        """At once, when the new version has answered as it is to."""
        return AllAtOnce()

    @staticmethod
    def canary(*, percentage: int = 10, interval: Duration | None = None) -> Canary:
        """A part first, and the rest after a while.

        Args:
            percentage: The first part, 1 to 99. Default: 10.
            interval: How long the first part is watched: whole minutes, 1 to 2880. Default: 5 minutes.
        """
        return Canary(percentage=percentage, interval=Duration.minutes(5) if interval is None else interval)

    @staticmethod
    def linear(*, percentage: int = 10, interval: Duration | None = None) -> Linear:
        """In equal parts.

        Args:
            percentage: Of each part, 1 to 99. Default: 10.
            interval: Between two parts: whole minutes, 1 to 2880. Default: 1 minute.
        """
        return Linear(percentage=percentage, interval=Duration.minutes(1) if interval is None else interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllAtOnce(TrafficShift):
    """See `TrafficShift.all_at_once`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary(TrafficShift):
    """See `TrafficShift.canary`."""

    percentage: int
    interval: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(TrafficShift):
    """See `TrafficShift.linear`."""

    percentage: int
    interval: Duration


AnyTrafficShift = AllAtOnce | Canary | Linear
