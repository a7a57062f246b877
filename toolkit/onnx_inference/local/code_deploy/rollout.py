"""The record of one deployment of the stand-in: which versions, what the hooks said, how traffic went over."""

from dataclasses import dataclass
from datetime import datetime

IN_PROGRESS, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"
#: CodeDeploy's names of the two moments at which hooks run.
BEFORE_TRAFFIC, AFTER_TRAFFIC = "BeforeAllowTraffic", "AfterAllowTraffic"


class RolloutFailed(RuntimeError):
    """An alias stays at its version; the message says why. It fails the update of the stack."""


@dataclass(frozen=True)
class HookRun:
    """One run of a hook.

    Attributes:
        event: `BeforeAllowTraffic` or `AfterAllowTraffic`.
        function: The hook's function.
        status: `Succeeded` or `Failed` as it was reported; None when nothing was.
        reason: Why it is a failure: the hook's own line in its log. Empty after a success.
    """

    event: str
    function: str
    status: str | None
    reason: str = ""


@dataclass(frozen=True)
class TrafficStep:
    """From when on which percentage of the invocations went to the new version. `at` is the twin clock's."""

    at: datetime
    percentage: int


@dataclass(frozen=True)
class Rollout:
    """One deployment so far. Times are the twin clock's.

    Attributes:
        deployment_id: As the hooks were told.
        deployment_group: Its name.
        configuration: The name of the deployment configuration.
        function: The function.
        alias: The alias that moves.
        from_version: Where it was.
        to_version: Where it was to go.
        started_at: When CloudFormation came to the alias.
        hooks: The hooks that ran, in order.
        steps: How traffic went over, and back; empty when it never did.
        alarms: The alarms that were watched.
        unwatched: The alarms that were not, with the reason.
        result: `InProgress`, `Succeeded` or `Failed`.
        reason: Of a failure.
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
