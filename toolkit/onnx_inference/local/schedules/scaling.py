"""Application Auto Scaling of provisioned concurrency: scheduled actions, and target tracking of utilisation."""

import functools
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloud.records import RecordedResource
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.host import UtilizationSample
from onnx_inference.local.lambda_host.pre_initialisation import InitFailed
from onnx_inference.local.schedules.agenda import Agenda
from onnx_inference.local.schedules.cron import ExpressionError
from onnx_inference.local.schedules.expression import ScheduleExpression, moment_of
from onnx_inference.local.schedules.schedule import SCALING, ScheduleFiring

TARGET, POLICY = "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy"
_DIMENSION = "lambda:function:ProvisionedConcurrency"
_METRIC = "LambdaProvisionedConcurrencyUtilization"
_MINUTE = 60.0
#: The alarms of target tracking: three minutes above the target, or fifteen minutes below 90 % of it.
_MINUTES_OUT, _MINUTES_IN = 3, 15
_SCALE_IN_BELOW = 0.9


@dataclass(frozen=True)
class ScalingChange:
    """A change of provisioned concurrency. `at` is on the twin's clock; `cause` names the action or policy."""

    function: str
    at: datetime
    before: int
    after: int
    cause: str


@dataclass
class _Target:
    """A scalable target as it is now. Scheduled actions change its bounds."""

    function: FunctionArn
    minimum: int
    maximum: int
    scaled_out_at: float = -math.inf
    scaled_in_at: float = -math.inf
    refused: dict[str, str] = field(default_factory=dict)


class Scaling:
    """Scales the provisioned concurrency of deployed aliases.

    Args:
        cloud: The embedded cloud, where the targets are deployed.
        clock: The twin's clock.
        agenda: Runs the actions at their times.
        utilization: Tells the samples of an alias since a time.
        provision: Starts and stops environments as the provisioned concurrency says.
        note: Takes the records of scheduled actions.
    """

    def __init__(
        self,
        cloud: EmbeddedCloud,
        clock: Clock,
        agenda: Agenda,
        *,
        utilization: Callable[[FunctionArn, float], Iterable[UtilizationSample]],
        provision: Callable[[], None],
        note: Callable[[ScheduleFiring], None],
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._agenda = agenda
        self._utilization = utilization
        self._provision = provision
        self._note = note
        self._targets: dict[str, _Target] = {}
        self._changes: deque[ScalingChange] = deque(maxlen=10_000)
        self._ticking = False

    def refresh(self) -> None:
        """Read which targets are deployed now."""
        found = {_key(resource): resource for resource in self._cloud.recorded.of_type(TARGET) if _function(resource)}
        for key in [key for key in self._targets if key not in found]:
            del self._targets[key]
        for key, resource in found.items():
            function = _function(resource)
            if key in self._targets or function is None:
                continue
            properties = resource.properties
            target = _Target(function, int(properties["MinCapacity"]), int(properties["MaxCapacity"]))
            self._targets[key] = target
            for action in properties.get("ScheduledActions") or ():
                self._begin(key, target, action)
        if not self._ticking and self._tracking():
            self._ticking = True
            self._agenda.at(_next_minute(self._clock.time()), self._tick)

    def changes(self) -> list[ScalingChange]:
        """The changes so far, oldest first."""
        return list(self._changes)

    @property
    def refused(self) -> dict[str, str]:
        """The scheduled actions that cannot happen, by name, with the reason."""
        return {name: reason for target in list(self._targets.values()) for name, reason in target.refused.items()}

    # -- scheduled actions --------------------------------------------------------------------------------------

    def _begin(self, key: str, target: _Target, action: Mapping[str, Any]) -> None:
        now = self._clock.time()
        try:
            start, end = moment_of(action.get("StartTime")), moment_of(action.get("EndTime"))
            expression = ScheduleExpression.parse(
                action["Schedule"],
                timezone=action.get("Timezone") or "UTC",
                anchor=now if start is None else start,
                anchor_is_due=start is not None,
                end=math.inf if end is None else end,
            )
        except ExpressionError as error:
            target.refused[str(action.get("ScheduledActionName"))] = str(error)
            return
        self._plan(key, target, action, expression, now - 1e-3)

    def _plan(
        self, key: str, target: _Target, action: Mapping[str, Any], expression: ScheduleExpression, after: float
    ) -> None:
        due = expression.next_after(after)
        if due is not None:
            self._agenda.at(due, functools.partial(self._due, key, target, action, expression, due))

    def _due(
        self, key: str, target: _Target, action: Mapping[str, Any], expression: ScheduleExpression, due: float
    ) -> None:
        if self._targets.get(key) is not target:
            return
        self._plan(key, target, action, expression, due)
        self._agenda.run_in_order(functools.partial(self._act, target, action, due))

    def _act(self, target: _Target, action: Mapping[str, Any], due: float) -> None:
        bounds = action.get("ScalableTargetAction") or {}
        target.minimum = int(bounds.get("MinCapacity", target.minimum))
        target.maximum = int(bounds.get("MaxCapacity", target.maximum))
        name = str(action.get("ScheduledActionName"))
        current = self._current(target.function)
        outcome = self._set(target.function, current, min(max(current, target.minimum), target.maximum), name)
        due_at = datetime.fromtimestamp(due, UTC)
        self._note(ScheduleFiring(SCALING, name, str(target.function), due_at, self._clock.now(), 1, outcome))

    # -- target tracking ----------------------------------------------------------------------------------------

    def _tracking(self) -> list[tuple[_Target, str, Mapping[str, Any]]]:
        """The target-tracking policies by utilisation, each with the target that it scales."""
        resources = {resource.physical_id: _key(resource) for resource in self._cloud.recorded.of_type(TARGET)}
        found = []
        for policy in self._cloud.recorded.of_type(POLICY):
            settings = policy.properties.get("TargetTrackingScalingPolicyConfiguration") or {}
            metric = (settings.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
            target = self._targets.get(resources.get(str(policy.properties.get("ScalingTargetId")), ""))
            if target is None:
                named = str(policy.properties.get("ResourceId") or "")
                target = next((t for t in self._targets.values() if _resource_id(t.function) == named), None)
            if target is not None and metric == _METRIC:
                found.append((target, str(policy.properties.get("PolicyName", policy.physical_id)), settings))
        return found

    def _tick(self) -> None:
        now = self._clock.time()
        policies = self._tracking()
        if not policies:
            self._ticking = False
            return
        self._agenda.at(_next_minute(now), self._tick)
        for target, name, settings in policies:
            self._agenda.run_in_order(
                functools.partial(self._track, target, name, settings, _next_minute(now) - _MINUTE)
            )

    def _track(self, target: _Target, name: str, settings: Mapping[str, Any], minute: float) -> None:
        """Compare the last whole minutes with the target value. A minute without an invocation has no value."""
        current = self._current(target.function)
        goal = float(settings["TargetValue"])
        averages = self._averages(target.function, minute)
        wanted = current
        out, into = averages[-_MINUTES_OUT:], averages[-_MINUTES_IN:]
        cooled = self._clock.time() - target.scaled_out_at >= float(settings.get("ScaleOutCooldown") or 0)
        if cooled and all(value is not None and value > goal for value in out):
            wanted = math.ceil(current * max(value for value in out if value is not None) / goal)
        elif not settings.get("DisableScaleIn") and all(v is not None and v < goal * _SCALE_IN_BELOW for v in into):
            last = max(target.scaled_in_at, target.scaled_out_at)
            if self._clock.time() - last >= float(settings.get("ScaleInCooldown") or 0):
                wanted = math.ceil(current * max(value for value in into if value is not None) / goal)
        wanted = min(max(wanted, target.minimum), target.maximum)
        if wanted > current:
            target.scaled_out_at = self._clock.time()
        elif wanted < current:
            target.scaled_in_at = self._clock.time()
        self._set(target.function, current, wanted, name)

    def _averages(self, function: FunctionArn, end: float) -> list[float | None]:
        """The average utilisation of each of the minutes before a time, oldest first."""
        start = end - _MINUTES_IN * _MINUTE
        minutes: list[list[float]] = [[] for _ in range(_MINUTES_IN)]
        for sample in self._utilization(function, start):
            if sample.at < end:
                minutes[int((sample.at - start) // _MINUTE)].append(sample.utilization)
        return [sum(values) / len(values) if values else None for values in minutes]

    # -- capacity -----------------------------------------------------------------------------------------------

    def _current(self, function: FunctionArn) -> int:
        deployed = self._cloud.functions.get(function)
        return 0 if deployed is None else deployed.provisioned_concurrency.get(function.qualifier or "", 0)

    def _set(self, function: FunctionArn, before: int, after: int, cause: str) -> str:
        if after == before:
            return "delivered"
        client = self._cloud.client("lambda", account=function.account, region=function.region)
        names = {"FunctionName": function.name, "Qualifier": function.qualifier}
        if after:
            client.put_provisioned_concurrency_config(**names, ProvisionedConcurrentExecutions=after)
        else:
            client.delete_provisioned_concurrency_config(**names)
        self._changes.append(ScalingChange(str(function), self._clock.now(), before, after, cause))
        try:
            self._provision()
        except InitFailed as error:
            return str(error)
        return "delivered"


def is_run_here(resource: Mapping[str, Any]) -> bool:
    """Whether a template's resource is a scalable target or a policy that the twin runs."""
    properties = resource.get("Properties") or {}
    if resource["Type"] == TARGET:
        return bool(properties.get("ScalableDimension") == _DIMENSION)
    settings = properties.get("TargetTrackingScalingPolicyConfiguration") or {}
    metric = (settings.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    return bool(resource["Type"] == POLICY and metric == _METRIC)


def _function(resource: RecordedResource) -> FunctionArn | None:
    """The alias whose provisioned concurrency a scalable target scales; None when it scales something else."""
    properties = resource.properties
    kind, _, rest = str(properties.get("ResourceId", "")).partition(":")
    name, _, qualifier = rest.partition(":")
    if kind != "function" or not qualifier or properties.get("ScalableDimension") != _DIMENSION:
        return None
    return FunctionArn(resource.account, resource.region, name, qualifier)


def _resource_id(function: FunctionArn) -> str:
    return f"function:{function.name}:{function.qualifier}"


def _key(resource: RecordedResource) -> str:
    return json.dumps([resource.physical_id, resource.properties], sort_keys=True, default=str)


def _next_minute(moment: float) -> float:
    return (math.floor(moment / _MINUTE) + 1) * _MINUTE
