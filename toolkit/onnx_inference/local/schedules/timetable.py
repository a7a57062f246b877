"""Fires the deployed schedules and scheduled rules when they are due."""

import functools
import random
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.lambda_host.function_configuration import AsynchronousPolicy, FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationResult, InvokeError, ResourceNotFound, TooManyRequests
from onnx_inference.local.schedules.agenda import Agenda
from onnx_inference.local.schedules.cron import ExpressionError
from onnx_inference.local.schedules.expression import ScheduleExpression
from onnx_inference.local.schedules.schedule import RULE, SCHEDULE, Schedule, ScheduleFiring

_KEPT = 10_000
#: Lambda retries a failed asynchronous invocation after one minute, then after two more.
_FUNCTION_ERROR_DELAYS = (60.0, 120.0)
#: It retries a throttled one after one second at first; the delay doubles, up to five minutes.
_LONGEST_DELAY = 300.0


class Timetable:
    """Knows the deployed schedules, and delivers their events.

    A function is invoked asynchronously: Lambda retries on the twin's clock, as the function's event invoke
    configuration says.

    Args:
        cloud: The embedded cloud, where the schedules are deployed.
        clock: The twin's clock.
        agenda: Runs the deliveries at their times.
        invoke: Runs an invocation.
        on_firing: Called with the record of each firing.
    """

    def __init__(
        self,
        cloud: EmbeddedCloud,
        clock: Clock,
        agenda: Agenda,
        invoke: Callable[[FunctionArn, bytes], InvocationResult],
        on_firing: Callable[[ScheduleFiring], None] | None = None,
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._agenda = agenda
        self._invoke = invoke
        self._on_firing = on_firing
        self._expressions: dict[str, ScheduleExpression] = {}
        self._current: dict[str, Schedule] = {}
        self._firings: deque[ScheduleFiring] = deque(maxlen=_KEPT)
        #: Schedules that cannot fire, by name, with the reason.
        self.refused: dict[str, str] = {}

    def refresh(self) -> None:
        """Read what is deployed now. New and changed schedules start, others end."""
        found = {schedule.key: schedule for schedule in map(Schedule.of, self._cloud.schedules.all())}
        now = self._clock.time()
        for key in [key for key in self._expressions if key not in found]:
            del self._expressions[key]
        self._current = found
        refused = {}
        for key, schedule in found.items():
            if key in self._expressions or not schedule.enabled:
                continue
            try:
                self._expressions[key] = schedule.expression(now)
            except ExpressionError as error:
                refused[schedule.name] = str(error)
                continue
            # A rate of EventBridge Scheduler is due at once; a cron expression may be due in this second.
            self._plan(key, now - 1e-3)
        self.refused = refused

    def firings(self) -> list[ScheduleFiring]:
        """The firings so far, oldest first."""
        return list(self._firings)

    def note(self, firing: ScheduleFiring) -> None:
        """Keep a record."""
        self._firings.append(firing)
        if self._on_firing is not None:
            self._on_firing(firing)

    # -- due ----------------------------------------------------------------------------------------------------

    def _plan(self, key: str, after: float) -> None:
        due = self._expressions[key].next_after(after)
        if due is not None:
            self._agenda.at(due, functools.partial(self._due, key, self._expressions[key], due))

    def _due(self, key: str, expression: ScheduleExpression, due: float) -> None:
        schedule = self._current.get(key)
        # It is another object after the schedule was deleted and created again.
        if schedule is None or self._expressions.get(key) is not expression:
            return
        self._plan(key, due)
        start = due + random.uniform(0.0, schedule.window_seconds)
        for target in schedule.source.targets:
            deliver = functools.partial(self._attempt, schedule, target, due, start, 1)
            self._agenda.at(start, functools.partial(self._agenda.run, deliver))

    # -- delivering ---------------------------------------------------------------------------------------------

    def _attempt(self, schedule: Schedule, target: Mapping[str, Any], due: float, start: float, attempt: int) -> None:
        """Deliver to one target. The age of the event counts from `start`, the planned time of delivery."""
        policy = schedule.retry_policy(target)
        if schedule.source.is_rule:
            payload = self._cloud.schedules.event_for_target(schedule.source, target, schedule.event(due))
        else:
            payload = schedule.input(target, due, attempt)
        arn = str(target.get("Arn", ""))
        if self._clock.time() - start > policy.age_seconds:
            # The clock was advanced past it. AWS does not deliver an event that is older than this, either.
            self._done(schedule, arn, due, attempt - 1, "dropped: older than its MaximumEventAgeInSeconds")
            return
        try:
            function = FunctionArn.parse(arn)
        except ValueError:
            self._cloud.schedules.deliver(schedule.source, target, payload)
            self._done(schedule, arn, due, attempt, "delivered")
            return
        if self._exists(function):
            self._invoke_asynchronously(schedule, function, payload, due, self._clock.time(), 1)
            return
        # The target does not accept the event. Only then the schedule's own retry policy applies.
        outcome = f"{ResourceNotFound.code}: {arn}"
        again = self._clock.time() + min(_LONGEST_DELAY, 2.0 ** (attempt - 1) * 60)
        if attempt > policy.attempts or again - start > policy.age_seconds:
            self._done(schedule, arn, due, attempt, outcome)
            self._bury(schedule, target, payload)
            return
        retry = functools.partial(self._attempt, schedule, target, due, start, attempt + 1)
        self._agenda.at(again, functools.partial(self._agenda.run, retry))

    def _exists(self, function: FunctionArn) -> bool:
        deployed = self._cloud.functions.get(function)
        return deployed is not None and deployed.version_of(function.qualifier) is not None

    def _invoke_asynchronously(
        self, schedule: Schedule, function: FunctionArn, payload: str, due: float, accepted: float, attempt: int
    ) -> None:
        """Invoke as Lambda does with an asynchronous event: it retries after errors and throttling."""
        deployed = self._cloud.functions.get(function)
        policy = AsynchronousPolicy() if deployed is None else deployed.asynchronous_policy(function.qualifier)
        request_id = None
        try:
            result = self._invoke(function, payload.encode())
        except TooManyRequests as error:
            outcome, delay = f"{error.code}: {error}", min(_LONGEST_DELAY, 2.0 ** (attempt - 1))
        except InvokeError as error:
            self._done(schedule, str(function), due, attempt, f"{error.code}: {error}")
            return
        else:
            request_id = result.record.request_id
            if result.function_error is None:
                self._done(schedule, str(function), due, attempt, "delivered", request_id)
                return
            outcome = f"{result.record.error_type}"
            delay = -1.0 if attempt > policy.attempts else _FUNCTION_ERROR_DELAYS[min(attempt, 2) - 1]
        again = self._clock.time() + delay
        if delay < 0 or again - accepted > policy.age_seconds:
            self._done(schedule, str(function), due, attempt, outcome, request_id)
            return
        retry = functools.partial(self._invoke_asynchronously, schedule, function, payload, due, accepted, attempt + 1)
        self._agenda.at(again, functools.partial(self._agenda.run, retry))

    def _bury(self, schedule: Schedule, target: Mapping[str, Any], payload: str) -> None:
        """Send an event that was given up to the target's dead-letter queue, when it has one."""
        arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if arn:
            self._cloud.schedules.deliver(schedule.source, {"Arn": arn}, payload)

    def _done(
        self, schedule: Schedule, target: str, due: float, attempts: int, outcome: str, request_id: str | None = None
    ) -> None:
        kind = RULE if schedule.source.is_rule else SCHEDULE
        due_at = datetime.fromtimestamp(due, UTC)
        self.note(ScheduleFiring(kind, schedule.name, target, due_at, self._clock.now(), attempts, outcome, request_id))
