"""How many environments are started ahead, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from aws_cdk import TimeZone
from aws_cdk import aws_applicationautoscaling as autoscaling


class UtilizationStatistic(Enum):
    """Which utilisation within a minute counts."""

    AVERAGE = "Average"
    """Suits steady traffic; bursts of milliseconds do not show in it."""

    MAXIMUM = "Maximum"
    """Sees bursts, and keeps more environments for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedSchedule:
    """Other bounds from a point in time on, until another schedule sets others.

    Args:
        name: Of the scheduled action, unique among the function's.
        schedule: When, e.g. `Schedule.cron(hour="8", minute="0", week_day="MON-FRI")` of
            `aws_cdk.aws_applicationautoscaling`.
        min_capacity: Environments from then on, at least 1: at 0 Lambda removes the configuration, and the next
            deployment fails for want of it.
        max_capacity: Most environments from then on. Default: that of the `ProvisionedConcurrency`; without one,
            `min_capacity`.
        time_zone: Of `schedule`. Default: UTC.
    """

    name: str
    schedule: autoscaling.Schedule
    min_capacity: int
    max_capacity: int | None = None
    time_zone: TimeZone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedConcurrency:
    """How many environments are started ahead.

    A number, or bounds within which Application Auto Scaling follows the utilisation. What comes on top is served by
    environments that are started on demand, with their cold start.

    It is held against `reserved_concurrent_executions`, and against the account: all functions together may have the
    account's unreserved concurrency less 100. Say what the account has by the CDK context
    `cdk-onnx-inference:account-concurrency` (1,000 where AWS has changed nothing); without it, more than 900 is a
    warning, not an error.

    Args:
        min_capacity: Environments that are always there, 1 or more; also what a deployment sets anew each time the
            function changes. Default: 1.
        max_capacity: Most environments. Default: `min_capacity`; the number is fixed, but for `schedules`.
        target_utilization: What share of them should be busy, 0.1 to 0.9: more are started above it for 3 minutes,
            and fewer kept below nine tenths of it for 15. Only with `max_capacity`. Default: 0.7.
        statistic: Which utilisation counts. Default: the average.
        scale_in_when_idle: Also when there are no requests at all. Lambda then measures no utilisation, and a policy
            on it alone would keep, and bill, whatever the last request left. A second policy takes what is missing
            for zero. Default: yes.
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
        """Minimum and maximum: the first ones, and then those of each schedule."""
        first = (self.min_capacity, self.min_capacity if self.max_capacity is None else self.max_capacity)
        return [first, *((schedule.min_capacity, self.max_of(schedule)) for schedule in self.schedules)]

    def max_of(self, schedule: ProvisionedSchedule) -> int:
        """Most environments from a schedule on."""
        if schedule.max_capacity is not None:
            return schedule.max_capacity
        return schedule.min_capacity if self.max_capacity is None else self.max_capacity
