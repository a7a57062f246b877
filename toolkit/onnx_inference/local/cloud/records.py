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


@dataclass(frozen=True)
class AliasMove:
    """An update of a function's alias to another version, which its template leaves to CodeDeploy.

    Attributes:
        account: Where it is.
        region: Where it is.
        function: The function's name.
        alias: The alias's name.
        from_version: Where it is.
        to_version: Where it is to be.
        deployment_group: The physical id of CodeDeploy's deployment group.
        before_hook: The function to run before traffic; its name or ARN.
        after_hook: The one to run after it.
    """

    account: str
    region: str
    function: str
    alias: str
    from_version: str
    to_version: str
    deployment_group: str
    before_hook: str | None = None
    after_hook: str | None = None
