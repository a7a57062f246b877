"""Keeps environments of an inference function from being given up for want of requests."""

from __future__ import annotations

import json
from typing import Protocol

from aws_cdk import Annotations, Duration, Stack, TimeZone
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as events_targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct, Node

from cdk_onnx_inference import _permissions, _warnings
from cdk_onnx_inference.errors import InvalidInferenceConfig

from . import _cold_start_validation
from .cold_start import ColdStart, Warmed, WarmerTrigger, WarmHours

EVENT_SOURCE = "cdk-onnx-inference.warmer"
"""The member `source` of a ping, by which the handler knows it before it parses anything."""


class HasLiveAlias(Protocol):
    """What can be kept warm: an `InferenceFunction`, or the worker of another construct."""

    @property
    def node(self) -> Node:
        """Of the construct."""

    @property
    def alias(self) -> lambda_.Alias:
        """What is pinged."""

    @property
    def timeout(self) -> Duration:
        """Longest run of one invocation."""

    @property
    def cold_start(self) -> ColdStart:
        """What is done about cold starts."""

    @property
    def reserved_concurrent_executions(self) -> float | None:
        """Environments that are reserved."""


class Warmer(Construct):
    """Pings the alias `live`, several environments at once if need be.

    `InferenceFunction(cold_start=ColdStart.warmer(...))` makes one; add another only for other hours. The function
    needs no permission to invoke itself: each environment has a ping of its own, which occupies it for `hold`, so that
    the next one needs another. The pings are invocations, paid for as such, and counted by the handler as
    `WarmerPingWarm` and `WarmerPingCold`.

    A ping is sent once: what cannot be delivered within a minute is dropped, because the next one follows soon.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything.
        function: Whose alias is pinged.
        concurrency: See `ColdStart.warmer`, as for all that follow.
        interval: Between two pings.
        hold: How long a ping occupies its environment.
        hours: When.
        touch: Whether a ping also runs the model.
        trigger: What sends them.

    Attributes:
        schedules: With the scheduler, one for each environment; else empty.
        rule: With a rule, that rule; else None.
        role: With the scheduler, what it invokes the alias as; else None.

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
        function: HasLiveAlias,
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
        problems = _cold_start_validation.warmer_excluded(f"{self.node.path}.function", function.cold_start)
        problems += _cold_start_validation.warmer(
            self.node.path,
            options,
            timeout=function.timeout,
            reserved=function.reserved_concurrent_executions,
        )
        if problems:
            raise InvalidInferenceConfig(problems)
        ping = {"source": EVENT_SOURCE, "hold_ms": options.hold_ms(function.timeout), "touch": touch}
        self.schedules, self.rule, self.role = (), None, None
        if trigger is WarmerTrigger.RULE:
            self.rule = self._rule(function, options, ping)
        else:
            self.role = self._role(function)
            self.schedules = self._schedules(function, options, ping, self.role)
        if isinstance(function.cold_start, Warmed) and function.node.path != scope.node.path:
            Annotations.of(self).add_warning_v2(
                _warnings.SECOND_WARMER,
                f"{function.node.path} has a warmer already, by its cold_start=. The pings of both are sent, and paid "
                "for. Right for other hours; else give one of them the concurrency of both.",
            )

    @staticmethod
    def of(scope: Construct, construct_id: str, function: HasLiveAlias, options: Warmed) -> Warmer:
        """The warmer that `ColdStart.warmer(...)` asks for."""
        return Warmer(
            scope,
            construct_id,
            function=function,
            concurrency=options.concurrency,
            interval=options.interval,
            hold=options.hold,
            hours=options.hours,
            touch=options.touch,
            trigger=options.trigger,
        )

    def _schedules(
        self, function: HasLiveAlias, options: Warmed, ping: dict[str, object], role: iam.Role
    ) -> tuple[scheduler.Schedule, ...]:
        """By cron, not by rate: a rate counts from each schedule's own creation, and no two pings would meet."""
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

    def _role(self, function: HasLiveAlias) -> iam.Role:
        """May invoke the alias, and nothing else; only schedules of this account's default group may take it."""
        stack = Stack.of(self)
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={
                    "StringEquals": {
                        "aws:SourceAccount": stack.account,
                        "aws:SourceArn": stack.format_arn(
                            service="scheduler", resource="schedule-group", resource_name="default"
                        ),
                    }
                },
            ),
            description=f"Pings {function.node.path}",
            inline_policies={
                "Invoke": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=[*_permissions.INVOKE], resources=[function.alias.function_arn])
                    ]
                )
            },
        )

    def _rule(self, function: HasLiveAlias, options: Warmed, ping: dict[str, object]) -> events.Rule:
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
