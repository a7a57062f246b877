"""Deployed resources that the embedded cloud does not run itself."""

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
        account: Its account.
        region: Its region.
        record: The schedule or the rule, as the service's API describes it.
        targets: The targets. A schedule has one.
        is_rule: Whether it is a rule.
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
        account: The function's account.
        region: The function's region.
        function: The function's name.
        alias: The alias's name.
        from_version: The version that it points to.
        to_version: The version that it is to point to.
        deployment_group: The physical id of CodeDeploy's deployment group.
        before_hook: The function to run before traffic is shifted; its name or ARN.
        after_hook: The function to run after it; its name or ARN.
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
