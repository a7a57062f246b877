"""Rules for alarms: a metric, and a threshold for each severity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aws_cdk import aws_cloudwatch as cloudwatch


class Severity(Enum):
    """How soon somebody must look at an alarm."""

    WARNING = "warning"
    """In working hours: clients are still served."""

    CRITICAL = "critical"
    """Now: clients are not served, or work is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """A rule, which can have an alarm for each severity.

    An alarm goes off when 2 of 3 periods of the metric are above the threshold. Periods without a value are not above
    it, because an idle service has no values.

    Args:
        name: In kebab case. It names the alarms and does not change.
        metric: What is watched.
        thresholds: Threshold for each severity. A severity without one has no alarm.
        unit: Unit of the thresholds.
        meaning: What the alarm means and where to look, in a sentence or two. It becomes the alarm's description.
    """

    name: str
    metric: cloudwatch.IMetric
    thresholds: Mapping[Severity, float]
    unit: str
    meaning: str
