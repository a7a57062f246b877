"""What the embedded cloud knows of deployed resources that it does not run itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RecordedResource:
    """A resource of a type that is recorded only."""

    resource_type: str
    physical_id: str
    account: str
    region: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class CloudSchedule:
    """A schedule of EventBridge Scheduler, or a rule with a schedule expression.

    Attributes:
        account: Where it is.
        region: Where it is.
        record: The schedule, or the rule, as the service's API describes it.
        targets: The rule's targets; the schedule's only one.
        is_rule: It is a rule.
    """

    account: str
    region: str
    record: Mapping[str, Any]
    targets: tuple[Mapping[str, Any], ...]
    is_rule: bool
