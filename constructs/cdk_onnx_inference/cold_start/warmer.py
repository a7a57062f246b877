"""Pings a function, so that Lambda does not shut down environments that are idle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Duration, TimeZone
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as events_targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from cdk_onnx_inference import _warnings
from cdk_onnx_inference._scheduler_role import scheduler_role
from cdk_onnx_inference.errors import InvalidInferenceConfig

from . import _warmer_validation
from .cold_start import Warmed, WarmerTrigger, WarmHours

if TYPE_CHECKING:
    from cdk_onnx_inference.functions._live_function import LiveFunction

EVENT_SOURCE = "cdk-onnx-inference.warmer"
"""The member `source` of a ping, by which the handler recognises it."""


class Warmer(Construct):
    """Pings the alias `live`, with several pings at once to keep several environments.

    `InferenceFunction(cold_start=ColdStart.warmer(...))` makes one. Add another only for other hours. There is a ping
    for each environment: each ping occupies its environment for `hold`, so that the next ping reaches another one.
    Pings are billed as invocations. The handler counts them as `WarmerPingWarm` and `WarmerPingCold`.

    A ping is sent once. If it cannot be delivered within a minute it is dropped, because the next one follows soon.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything.
        function: The function to keep warm.
        concurrency: See `ColdStart.warmer`, as for all arguments that follow.
        interval: Time between two pings.
        hold: How long a ping occupies its environment.
        hours: When pings are sent.
        touch: Whether a ping also runs the model.
        trigger: What sends the pings.

    Attributes:
        schedules: With EventBridge Scheduler, a schedule for each environment; else empty.
        rule: With an EventBridge rule, the rule; else None.
        role: With EventBridge Scheduler, the role with which it invokes the alias; else None.

    Raises:
        InvalidInferenceConfig: With all problems: the codes of `ColdStart.warmer`, and `warmer-excluded` for a
            function with provisioned concurrency or SnapStart.

    Warns, in CDK's way:
        `cdk-onnx-inference:second-warmer`.
    """

    schedules: tuple[scheduler.Schedule, ...]
    rule: events.Rule | None
    role: iam.Role | None

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: LiveFunction,
        concurrency: int = 1,
        interval: Duration | None = None,
        hold: Duration | None = None,
        hours: WarmHours | None = None,
        touch: bool = False,
        trigger: WarmerTrigger = WarmerTrigger.SCHEDULER,
    ) -> None:
        super().__init__(scope, construct_id)
        options = Warmed(
            concurrency=concurrency, interval=interval, hold=hold, hours=hours, touch=touch, trigger=trigger
        )
        problems = _warmer_validation.check_function(f"{self.node.path}.function", function.cold_start)
        problems += _warmer_validation.check(
            self.node.path, options, timeout=function.timeout, reserved=function.reserved_concurrent_executions
        )
        if problems:
            raise InvalidInferenceConfig(problems)
        ping = {"source": EVENT_SOURCE, "hold_ms": options.hold_ms(function.timeout), "touch": touch}
        self.schedules, self.rule, self.role = (), None, None
        if trigger is WarmerTrigger.RULE:
            self.rule = self._rule(function, options, ping)
        else:
            self.role = scheduler_role(self, "Role", alias=function.alias, description=f"Pings {function.node.path}")
            self.schedules = self._schedules(function, options, ping, self.role)
        if isinstance(function.cold_start, Warmed) and function.node.path != scope.node.path:
            Annotations.of(self).add_warning_v2(
                _warnings.SECOND_WARMER,
                f"{function.node.path} has a warmer already, by its cold_start=. Both send pings, which are billed. "
                "That is right for other hours; otherwise give one of them the concurrency of both.",
            )

    def _schedules(
        self, function: LiveFunction, options: Warmed, ping: dict[str, object], role: iam.Role
    ) -> tuple[scheduler.Schedule, ...]:
        """Uses cron expressions: rates count from each schedule's creation, and the pings would not come together."""
        cron, time_zone = _cron(options)
        target = scheduler_targets.LambdaInvoke(
            function.alias,
            input=scheduler.ScheduleTargetInput.from_text(json.dumps(ping, separators=(",", ":"))),
            retry_attempts=0,
            max_event_age=Duration.minutes(1),
            role=role.without_policy_updates(),
        )
        return tuple(
            scheduler.Schedule(
                self,
                f"Ping{number}",
                schedule=scheduler.ScheduleExpression.cron(**cron, time_zone=time_zone),
                target=target,
                description=f"Keeps an environment of {function.node.path} warm",
            )
            for number in range(options.concurrency)
        )

    def _rule(self, function: LiveFunction, options: Warmed, ping: dict[str, object]) -> events.Rule:
        cron, _ = _cron(options)
        rule = events.Rule(
            self,
            "Rule",
            schedule=events.Schedule.cron(**cron),
            description=f"Keeps environments of {function.node.path} warm",
        )
        for _ in range(options.concurrency):
            rule.add_target(
                events_targets.LambdaFunction(
                    function.alias,
                    event=events.RuleTargetInput.from_object(ping),
                    retry_attempts=0,
                    max_event_age=Duration.minutes(1),
                )
            )
        return rule


def _cron(options: Warmed) -> tuple[dict[str, str], TimeZone | None]:
    minutes = 5 if options.interval is None else int(options.interval.to_minutes())
    cron = {"minute": "*" if minutes == 1 else f"0/{minutes}"}
    if options.hours is None:
        return cron, None
    cron |= {"hour": f"{options.hours.start}-{options.hours.end - 1}", "week_day": options.hours.week_days}
    return cron, options.hours.time_zone
