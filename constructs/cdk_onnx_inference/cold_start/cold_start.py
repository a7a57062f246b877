"""What is done about cold starts: one choice for each function."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aws_cdk import Duration, TimeZone

from .provisioned_concurrency import ProvisionedConcurrency


class WarmerTrigger(Enum):
    """What sends the pings of a warmer."""

    SCHEDULER = "scheduler"
    """EventBridge Scheduler: one schedule for each environment. Time zones, and no limit that matters here."""

    RULE = "rule"
    """One EventBridge rule with a target for each environment, 5 at most, in UTC. All its targets are invoked by one
    event, so their pings are closer together than those of several schedules. AWS calls scheduled rules legacy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmHours:
    """When a warmer sends its pings; outside, environments are given up as Lambda sees fit.

    Args:
        start: First hour of the day with pings, 0 to 23.
        end: Hour at which they end, 1 to 24, later than `start`.
        week_days: Days, as EventBridge writes them, e.g. `MON-FRI` or `SAT,SUN`. Default: Monday to Friday.
        time_zone: Whose hours. Default: UTC.
    """

    start: int
    end: int
    week_days: str = "MON-FRI"
    time_zone: TimeZone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """What is done about cold starts: one of the four forms below, and only one, because they exclude each other.

    `docs/cold-start.md` compares what they do and cost.
    """

    @staticmethod
    def on_demand() -> OnDemand:
        """Nothing is done: Lambda starts an environment when a request finds none free. The default; costs nothing.

        A start that takes longer than 10 s is begun again within the first request and its timeout, so a large model
        makes the first request very slow; synth warns when the figures it has say so.
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
        """Environments are pinged so that Lambda does not give them up. Cheap, and best effort.

        Lambda replaces environments every few hours whatever is sent to them, does not say how long it keeps idle
        ones, and starts more when more requests come at once than there are environments. Nothing of a ping reaches
        the model.

        Args:
            concurrency: Environments to keep, 1 to 100, or 1 to 5 with `WarmerTrigger.RULE`. Each costs its pings. A
                change adds or removes schedules. Default: 1.
            interval: Between two pings: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes, so that the pings of all
                schedules fall into the same minutes. A change updates the schedules in place. Default: 5 minutes.
            hold: How long a ping occupies its environment, up to 10 s and at least 1 s less than the function's
                timeout. Two environments are met only by pings that overlap, and all of it is paid for. A change
                updates the schedules in place. Default: 0 for one environment; for more, 10 s with the scheduler,
                which is precise to the minute only, and 2 s with a rule, or 1 s less than the timeout.
            hours: When. Default: always.
            touch: Also read the weights' pages and run one inference with each ping, which keeps what memory pressure
                may have pushed out, and costs its time. Default: no.
            trigger: What sends them. A change replaces the schedules. Default: EventBridge Scheduler.

        Returns:
            The choice, for `InferenceFunction(cold_start=...)`, which raises `InvalidInferenceConfig` with the codes
            `warmer-concurrency-range`, `warmer-interval`, `warmer-hold-range`, `warmer-hold-timeout`, `warmer-hours`,
            `warmer-time-zone`, `warmer-trigger` or `warmer-over-reserved`.
        """
        return Warmed(concurrency=concurrency, interval=interval, hold=hold, hours=hours, touch=touch, trigger=trigger)

    @staticmethod
    def provisioned(concurrency: ProvisionedConcurrency | None = None) -> Provisioned:
        """Environments are started ahead, and stay: requests within their number meet no cold start at all.

        Paid for by the hour, used or not. A deployment waits until they have started, and fails if they cannot.

        Args:
            concurrency: How many. A change updates the alias in place. Default: one, always.

        Returns:
            The choice, for `InferenceFunction(cold_start=...)`, which raises `InvalidInferenceConfig` with the codes
            `provisioned-range`, `provisioned-target-range`, `provisioned-statistic`, `provisioned-schedule`,
            `provisioned-over-reserved` or `provisioned-over-account`.
        """
        return Provisioned(concurrency=ProvisionedConcurrency() if concurrency is None else concurrency)

    @staticmethod
    def snap_start(*, keep_old_versions: bool = False) -> SnapStart:
        """Lambda starts one environment when a version is published, and each cold start resumes a copy of it.

        Not with a model on a file system, nor with more than 512 MiB of `/tmp`. Paid for by the hour for each version
        that is there, and for each start.

        Args:
            keep_old_versions: Keep versions when a newer one takes their place, so that `live` can be pointed back at
                once. Each goes on costing until somebody deletes it: Lambda gives up unused snapshots of Java functions
                only. A change applies to versions that are replaced from then on. Default: no; CloudFormation deletes
                a version after `live` has moved, and going back means deploying the former code.

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
        """How long a ping of a function with this timeout occupies its environment, in milliseconds."""
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
"""What the factories return."""
