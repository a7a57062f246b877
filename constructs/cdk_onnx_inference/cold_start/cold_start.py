"""What is done about cold starts: one choice for each function."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aws_cdk import Duration, TimeZone

from .provisioned_concurrency import ProvisionedConcurrency


class WarmerTrigger(Enum):
    """What sends the pings of a warmer."""

    SCHEDULER = "scheduler"
    """EventBridge Scheduler: one schedule for each environment. It supports time zones, and up to 100 environments."""

    RULE = "rule"
    """One EventBridge rule with a target for each environment, at most 5, in UTC. One event invokes all targets, so the
    pings are closer together than those of several schedules. AWS calls scheduled rules a legacy feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmHours:
    """When a warmer sends its pings. At other times Lambda may shut down idle environments.

    Args:
        start: First hour of the day with pings, 0 to 23.
        end: Hour at which the pings end, 1 to 24, later than `start`.
        week_days: Days, as EventBridge writes them, e.g. `MON-FRI` or `SAT,SUN`. Default: Monday to Friday.
        time_zone: The time zone of the hours. Default: UTC.
    """

    start: int
    end: int
    week_days: str = "MON-FRI"
    time_zone: TimeZone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """What is done about cold starts: one of the four forms below. They exclude each other.

    `docs/cold-start.md` compares what they do and cost.
    """

    @staticmethod
    def on_demand() -> OnDemand:
        """Nothing is done: Lambda starts an environment when a request finds none free. The default; it costs nothing.

        A start that takes longer than 10 s begins again within the first request and its timeout, so a large model can
        make the first request very slow. Synth warns if it knows enough to expect that.
        """
        return OnDemand()

    @staticmethod
    def warmer(
        *,
        concurrency: int = 1,
        interval: Duration | None = None,
        hold: Duration | None = None,
        hours: WarmHours | None = None,
        touch: bool = False,
        trigger: WarmerTrigger = WarmerTrigger.SCHEDULER,
    ) -> Warmed:
        """Environments are pinged, so that Lambda does not shut them down. Cheap, but best effort.

        Lambda replaces environments every few hours in any case, does not say how long it keeps idle ones, and starts
        more when more requests come at once than there are environments. Pings do not reach the model.

        Args:
            concurrency: Environments to keep, 1 to 100, or 1 to 5 with `WarmerTrigger.RULE`. Each one costs its pings.
                A change adds or removes schedules. Default: 1.
            interval: Time between two pings: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes, so that all schedules ping
                in the same minutes. A change updates the schedules in place. Default: 5 minutes.
            hold: How long a ping occupies its environment, up to 10 s and at least 1 s less than the function's
                timeout. Pings must overlap to reach different environments. The whole time is billed. A change updates
                the schedules in place. Default: 0 for one environment. For more: 10 s with the scheduler, which is
                precise to the minute, and 2 s with a rule; never more than 1 s less than the timeout.
            hours: When pings are sent. Default: always.
            touch: Whether each ping also reads the pages of the weights and runs one inference. This brings back what
                was pushed out of memory, and costs time. Default: no.
            trigger: What sends the pings. A change replaces the schedules. Default: EventBridge Scheduler.

        Returns:
            The choice, for `InferenceFunction(cold_start=...)`, which raises `InvalidInferenceConfig` with the codes
            `warmer-concurrency-range`, `warmer-interval`, `warmer-hold-range`, `warmer-hold-timeout`, `warmer-hours`,
            `warmer-time-zone`, `warmer-trigger` or `warmer-over-reserved`.
        """
        return Warmed(concurrency=concurrency, interval=interval, hold=hold, hours=hours, touch=touch, trigger=trigger)

    @staticmethod
    def provisioned(concurrency: ProvisionedConcurrency | None = None) -> Provisioned:
        """Environments are started ahead and kept. Requests up to their number never meet a cold start.

        They are billed by the hour, used or not. A deployment waits until they have started, and fails if they cannot.

        Args:
            concurrency: How many. A change updates the alias in place. Default: one environment.

        Returns:
            The choice, for `InferenceFunction(cold_start=...)`, which raises `InvalidInferenceConfig` with the codes
            `provisioned-range`, `provisioned-target-range`, `provisioned-statistic`, `provisioned-schedule`,
            `provisioned-over-reserved` or `provisioned-over-account`.
        """
        return Provisioned(concurrency=ProvisionedConcurrency() if concurrency is None else concurrency)

    @staticmethod
    def snap_start(*, keep_old_versions: bool = False) -> SnapStart:
        """Lambda starts an environment when a version is published, and each cold start resumes a copy of it.

        It cannot be used with a model on a file system, nor with more than 512 MiB of `/tmp`. Each existing version is
        billed by the hour, and each start is billed too.

        Args:
            keep_old_versions: Whether to keep old versions, so that `live` can be pointed back at once. Each one costs
                money until somebody deletes it: Lambda deletes unused snapshots of Java functions only. A change
                applies to versions that are replaced from then on. Default: no; CloudFormation deletes a version after
                `live` has moved, and to go back the former code must be deployed again.

        Returns:
            The choice, for `InferenceFunction(cold_start=...)`, which raises `InvalidInferenceConfig` with the codes
            `snap-start-file-system`, `snap-start-ephemeral-storage` or `snap-start-region`.
        """
        return SnapStart(keep_old_versions=keep_old_versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemand(ColdStart):
    """See `ColdStart.on_demand`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed(ColdStart):
    """See `ColdStart.warmer`."""

    concurrency: int
    interval: Duration | None
    hold: Duration | None
    hours: WarmHours | None
    touch: bool
    trigger: WarmerTrigger

    def hold_ms(self, timeout: Duration) -> int:
        """Milliseconds that a ping of a function with this timeout occupies its environment."""
        if self.hold is not None:
            return int(self.hold.to_milliseconds())
        if self.concurrency == 1:
            return 0
        default = 2_000 if self.trigger is WarmerTrigger.RULE else 10_000
        return default if timeout.is_unresolved() else max(0, min(default, int(timeout.to_milliseconds()) - 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned(ColdStart):
    """See `ColdStart.provisioned`."""

    concurrency: ProvisionedConcurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapStart(ColdStart):
    """See `ColdStart.snap_start`."""

    keep_old_versions: bool


KINDS = (OnDemand, Warmed, Provisioned, SnapStart)
"""What the factories of `ColdStart` return."""
