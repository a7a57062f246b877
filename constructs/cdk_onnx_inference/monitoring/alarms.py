"""When somebody is to be told: rules over metrics, with a threshold for each severity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aws_cdk import aws_cloudwatch as cloudwatch


class Severity(Enum):
    """How soon somebody is to look."""

    WARNING = "warning"
    """In working hours: clients are still served."""

    CRITICAL = "critical"
    """Now: clients are not served, or work is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """A rule, from which there may be an alarm for each severity.

    Args:
        name: In kebab case; names the alarms, and stays as it is.
        metric: What is watched. An alarm goes off above its threshold.
        thresholds: By severity; a severity that is not there has no alarm.
        unit: Of the thresholds.
        meaning: What it means, and what to look at, in a sentence or two. It becomes the alarm's description.
        periods: How many of the metric's periods are looked at.
        breaching: How many of them must be above the threshold.
    """

    name: str
    metric: cloudwatch.IMetric
    thresholds: Mapping[Severity, float]
    unit: str
    meaning: str
    periods: int = 3
    breaching: int = 2

    @property
    def missing(self) -> cloudwatch.TreatMissingData:
        """No value is no fault: all these metrics are absent while nothing happens, and a service may well be idle."""
        return cloudwatch.TreatMissingData.NOT_BREACHING
