"""How traffic is shifted to a new version."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficShift:
    """How traffic is shifted to a new version: one of the three forms below."""

    @staticmethod
    def all_at_once() -> AllAtOnce:
        """All traffic at once, when the new version has answered the golden samples."""
        return AllAtOnce()

    @staticmethod
    def canary(*, percentage: int = 10, interval: Duration | None = None) -> Canary:
        """A part of the traffic first, and the rest after an interval.

        Args:
            percentage: The first part in percent, 1 to 99. Default: 10.
            interval: Time before the rest follows: 1 to 2880 whole minutes. Default: 5 minutes.
        """
        return Canary(percentage=percentage, interval=Duration.minutes(5) if interval is None else interval)

    @staticmethod
    def linear(*, percentage: int = 10, interval: Duration | None = None) -> Linear:
        """In equal parts, with an interval after each.

        Args:
            percentage: Each part in percent, 1 to 99. Default: 10.
            interval: Time between two parts: 1 to 2880 whole minutes. Default: 1 minute.
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
"""What the factories of `TrafficShift` return."""
