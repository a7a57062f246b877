"""A deployed schedule or scheduled rule: when it is due, and the events of its targets."""

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from onnx_inference.local.cloud.records import CloudSchedule
from onnx_inference.local.schedules.expression import ScheduleExpression, moment_of

SCHEDULE, RULE, SCALING = "schedule", "rule", "scaling action"


@dataclass(frozen=True)
class ScheduleFiring:
    """One firing of a schedule, a rule or a scheduled scaling action, for one target. Times are on the twin's clock.

    Attributes:
        kind: `schedule`, `rule` or `scaling action`.
        name: Its name.
        target: The target's ARN; for a scaling action the ARN of what is scaled.
        due_at: When it was due.
        fired_at: When it was delivered. It is later in a flexible time window, and after retries.
        attempts: The number of attempts.
        outcome: `delivered`, or the reason why not, which begins with the error's code or type.
        request_id: The request id of the invocation; None when there was none.
    """

    kind: str
    name: str
    target: str
    due_at: datetime
    fired_at: datetime
    attempts: int
    outcome: str
    request_id: str | None = None


@dataclass(frozen=True)
class RetryPolicy:
    """How often and for how long a failed delivery is retried."""

    attempts: int
    age_seconds: float


@dataclass(frozen=True)
class Schedule:
    """A schedule or a rule.

    Attributes:
        key: Identifies it. A changed schedule has another key, and starts from the beginning.
        source: The schedule or rule as deployed.
    """

    key: str
    source: CloudSchedule

    @classmethod
    def of(cls, source: CloudSchedule) -> "Schedule":
        """Of a deployed schedule or rule."""
        record = source.record
        settings = [record.get(name) for name in (*_TIMING, "State", "CreationDate", "CreationTime")]
        return cls(json.dumps([record.get("Arn"), source.is_rule, settings], default=str), source)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.source.record.get("Name", ""))

    @property
    def enabled(self) -> bool:
        """Whether it fires."""
        return str(self.source.record.get("State", "ENABLED")).startswith("ENABLED")

    @property
    def window_seconds(self) -> float:
        """The flexible time window in seconds; 0 for none."""
        window = self.source.record.get("FlexibleTimeWindow") or {}
        return 60.0 * int(window.get("MaximumWindowInMinutes") or 0) if window.get("Mode") == "FLEXIBLE" else 0.0

    def expression(self, created: float) -> ScheduleExpression:
        """When it is due.

        Args:
            created: When it was first seen, on the twin's clock.

        Raises:
            ExpressionError: AWS would refuse it.
        """
        record = self.source.record
        if self.source.is_rule:
            return ScheduleExpression.parse(record["ScheduleExpression"], anchor=created, anchor_is_due=False)
        start, end = moment_of(record.get("StartDate")), moment_of(record.get("EndDate"))
        return ScheduleExpression.parse(
            record["ScheduleExpression"],
            timezone=record.get("ScheduleExpressionTimezone") or "UTC",
            anchor=created if start is None else start,
            end=math.inf if end is None else end,
        )

    def event(self, due: float) -> dict[str, Any]:
        """The event that a target without an input of its own receives."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events" if self.source.is_rule else "aws.scheduler",
            "account": self.source.account,
            "time": _time(due),
            "region": self.source.region,
            "resources": [str(self.source.record.get("Arn", ""))],
            "detail": {},
        }

    def input(self, target: Mapping[str, Any], due: float, attempt: int) -> str:
        """What a schedule's target receives: its input, with the context attributes filled in."""
        if not target.get("Input"):
            return json.dumps(self.event(due))
        text = str(target["Input"])
        values = {
            "schedule-arn": str(self.source.record.get("Arn", "")),
            "scheduled-time": _time(due),
            "execution-id": str(uuid.uuid4()),
            "attempt-number": str(attempt),
        }
        for name, value in values.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return text

    @staticmethod
    def retry_policy(target: Mapping[str, Any]) -> RetryPolicy:
        """How a target that does not accept its event is retried. Default: 185 times within a day."""
        policy = target.get("RetryPolicy") or {}
        attempts = policy.get("MaximumRetryAttempts", 185)
        return RetryPolicy(int(attempts), float(policy.get("MaximumEventAgeInSeconds", 86_400)))


_TIMING = ("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate")


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
