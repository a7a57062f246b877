"""How many environments are started ahead, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from aws_cdk import TimeZone
from aws_cdk import aws_applicationautoscaling as autoscaling


class UtilizationStatistic(Enum):
    """Which statistic of the utilisation within a minute counts."""

    AVERAGE = "Average"
    """Suits steady traffic. Bursts of milliseconds do not show in it."""

    MAXIMUM = "Maximum"
    """Sees bursts, and keeps more environments for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedSchedule:
    """Other bounds from a point in time on, until another schedule sets others.

    Args:
        name: Name of the scheduled action, unique among those of the function.
        schedule: When, e.g. `Schedule.cron(hour="8", minute="0", week_day="MON-FRI")` of
            `aws_cdk.aws_applicationautoscaling`.
        min_capacity: Fewest environments from then on, at least 1. At 0 Lambda would remove the configuration, and the
            next deployment would fail.
        max_capacity: Most environments from then on. Default: `max_capacity` of the `ProvisionedConcurrency`; if it has
            none, `min_capacity`.
        time_zone: Time zone of `schedule`. Default: UTC.
    """

    name: str
    schedule: autoscaling.Schedule
    min_capacity: int
    max_capacity: int | None = None
    time_zone: TimeZone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedConcurrency:
    """How many environments are started ahead.

    It is a fixed number, or bounds within which Application Auto Scaling follows the utilisation. Requests beyond that
    are served by environments that start on demand, with a cold start.

    The number must fit into `reserved_concurrent_executions`, or else into the account: all functions together may have
    the account's unreserved concurrency less 100. Set the CDK context `cdk-onnx-inference:account-concurrency` to the
    account's quota, which is 1,000 by default. Without it, more than 900 is a warning and not an error.

    Args:
        min_capacity: Fewest environments, 1 or more. A deployment that changes the function starts with this number.
            Default: 1.
        max_capacity: Most environments. Default: `min_capacity`, so that only `schedules` change the number.
        target_utilization: The share of the environments that should be busy, 0.1 to 0.9. More are started after 3
            minutes above it, and some are stopped after 15 minutes below nine tenths of it. Only with `max_capacity`.
            Default: 0.7.
        statistic: Which statistic of the utilisation counts. Default: the average.
        scale_in_when_idle: Whether to scale in when there are no requests at all. Lambda then publishes no utilisation,
            and a policy on that metric alone would keep, and bill, all environments that the last requests needed. A
            second policy counts missing values as zero. Default: yes.
        schedules: Other bounds from points in time on. Default: none.
    """

    min_capacity: int = 1
    max_capacity: int | None = None
    target_utilization: float | None = None
    statistic: UtilizationStatistic = UtilizationStatistic.AVERAGE
    scale_in_when_idle: bool = True
    schedules: Sequence[ProvisionedSchedule] = ()

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Minimum and maximum: without a schedule, and then for each schedule."""
        first = (self.min_capacity, self.min_capacity if self.max_capacity is None else self.max_capacity)
        return [first, *((schedule.min_capacity, self.max_of(schedule)) for schedule in self.schedules)]

    def max_of(self, schedule: ProvisionedSchedule) -> int:
        """The most environments from a schedule on."""
        if schedule.max_capacity is not None:
            return schedule.max_capacity
        return schedule.min_capacity if self.max_capacity is None else self.max_capacity
