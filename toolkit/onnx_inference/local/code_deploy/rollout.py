"""The record of one rollout: the versions, the hooks, the shift of traffic and the result."""

from dataclasses import dataclass
from datetime import datetime

IN_PROGRESS, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"
#: CodeDeploy's names of the two moments at which hooks run.
BEFORE_TRAFFIC, AFTER_TRAFFIC = "BeforeAllowTraffic", "AfterAllowTraffic"


class RolloutFailed(RuntimeError):
    """An alias was not moved; the message says why. The update of the stack fails with it."""


@dataclass(frozen=True)
class HookRun:
    """One run of a hook.

    Attributes:
        event: `BeforeAllowTraffic` or `AfterAllowTraffic`.
        function: The hook's function.
        status: `Succeeded` or `Failed`, as the hook reported; None when it reported nothing.
        reason: Why it failed, from the hook's log. Empty after a success.
    """

    event: str
    function: str
    status: str | None
    reason: str = ""


@dataclass(frozen=True)
class TrafficStep:
    """The percentage of invocations that goes to the new version from a time on the twin's clock on."""

    at: datetime
    percentage: int


@dataclass(frozen=True)
class Rollout:
    """One rollout so far. Times are on the twin's clock.

    Attributes:
        deployment_id: The id that hooks receive.
        deployment_group: The name of the deployment group.
        configuration: The name of the deployment configuration.
        function: The function.
        alias: The alias that moves.
        from_version: The version that the alias pointed to.
        to_version: The version that it is to point to.
        started_at: When CloudFormation began to update the alias.
        hooks: The hooks that ran, in order.
        steps: The shift of traffic, and the way back; empty when no traffic was shifted.
        alarms: The alarms that were watched.
        unwatched: The alarms that were not watched, with the reason.
        result: `InProgress`, `Succeeded` or `Failed`.
        reason: Why it failed.
        ended_at: None while it runs.
    """

    deployment_id: str
    deployment_group: str
    configuration: str
    function: str
    alias: str
    from_version: str
    to_version: str
    started_at: datetime
    hooks: tuple[HookRun, ...] = ()
    steps: tuple[TrafficStep, ...] = ()
    alarms: tuple[str, ...] = ()
    unwatched: tuple[tuple[str, str], ...] = ()
    result: str = IN_PROGRESS
    reason: str = ""
    ended_at: datetime | None = None
