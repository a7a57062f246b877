"""The stand-in for CodeDeploy: runs hooks, shifts traffic, and takes it back after a failure."""

import json
import secrets
import string
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloud.records import AliasMove, RecordedResource
from onnx_inference.local.code_deploy.configuration import ALL_AT_ONCE, TrafficRouting
from onnx_inference.local.code_deploy.hook_endpoint import HookEndpoint
from onnx_inference.local.code_deploy.rollout import (
    AFTER_TRAFFIC,
    BEFORE_TRAFFIC,
    FAILED,
    SUCCEEDED,
    HookRun,
    Rollout,
    RolloutFailed,
    TrafficStep,
)
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.invocation import InvocationResult, InvokeError

_GROUP, _CONFIGURATION = "AWS::CodeDeploy::DeploymentGroup", "AWS::CodeDeploy::DeploymentConfig"


class AlarmWatch(Protocol):
    """The alarms that are watched while traffic is shifted."""

    @property
    def watched(self) -> tuple[str, ...]:
        """The names of the alarms that can be evaluated here."""

    @property
    def unwatched(self) -> tuple[tuple[str, str], ...]:
        """The names of the other alarms, with the reason."""

    def in_alarm(self) -> str | None:
        """The alarm that is in alarm at this moment, with the reason; None when none is."""


class CodeDeployStandIn:
    """Moves an alias as CodeDeploy does, when its template says so.

    Args:
        cloud: The embedded cloud, where the aliases are.
        clock: The clock of the time between two steps of the shift.
        invoke: Runs a hook.
        logs: The logs, in which a hook says why it failed.
        watch: Begins to watch the alarms of these names.
    """

    def __init__(
        self,
        cloud: EmbeddedCloud,
        clock: Clock,
        *,
        invoke: Callable[[FunctionArn, bytes], InvocationResult],
        logs: FunctionLogs,
        watch: Callable[[Sequence[str]], AlarmWatch],
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._invoke = invoke
        self._logs = logs
        self._watch = watch
        self._endpoint = HookEndpoint()
        self._rollouts: dict[str, Rollout] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        """The URL that hooks report to."""
        return self._endpoint.url

    def close(self) -> None:
        """End what runs with a failure, and stop."""
        self._closing.set()
        self._clock.wake()
        self._endpoint.close()

    def rollouts(self) -> list[Rollout]:
        """The records of every deployment, oldest first."""
        with self._lock:
            return list(self._rollouts.values())

    def running(self) -> bool:
        """Whether a rollout is under way."""
        return any(rollout.ended_at is None for rollout in self.rollouts())

    def move(self, move: AliasMove) -> None:
        """Move an alias. Returns when all of its traffic goes to the new version.

        Args:
            move: The alias and the versions. After a failure the alias points to the old version again.

        Raises:
            RolloutFailed: A hook failed or did not report, or an alarm went off.
        """
        group = self._resource(_GROUP, move.deployment_group)
        properties = {} if group is None else group.properties
        name = str(properties.get("DeploymentConfigName") or ALL_AT_ONCE)
        rollout_id = "d-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(9))
        alarms = self._watch(_alarm_names(properties))
        self._keep(
            Rollout(
                deployment_id=rollout_id,
                deployment_group=move.deployment_group,
                configuration=name,
                function=move.function,
                alias=move.alias,
                from_version=move.from_version,
                to_version=move.to_version,
                started_at=self._clock.now(),
                alarms=alarms.watched,
                unwatched=alarms.unwatched,
            )
        )
        try:
            self._roll_out(rollout_id, move, self._routing(name), alarms)
        except BaseException as error:
            reason = str(error) if isinstance(error, (RolloutFailed, ValueError)) else repr(error)
            try:
                if self._rollouts[rollout_id].steps:
                    self._shift(rollout_id, move, 0)
            finally:
                self._change(rollout_id, result=FAILED, reason=reason, ended_at=self._clock.now())
            raise RolloutFailed(f"The stand-in's deployment {rollout_id} failed: {reason}") from error
        self._change(rollout_id, result=SUCCEEDED, ended_at=self._clock.now())

    def _roll_out(self, rollout_id: str, move: AliasMove, routing: TrafficRouting, alarms: AlarmWatch) -> None:
        self._run_hook(rollout_id, move, BEFORE_TRAFFIC, move.before_hook)
        for percentage, seconds in routing.parts():
            self._shift(rollout_id, move, percentage)
            self._wait(seconds, alarms)
        self._run_hook(rollout_id, move, AFTER_TRAFFIC, move.after_hook)

    def _wait(self, seconds: float, alarms: AlarmWatch) -> None:
        gone_off: list[str] = []

        def interrupted() -> bool:
            found = alarms.in_alarm()
            if found is not None:
                gone_off.append(found)
            return bool(gone_off) or self._closing.is_set()

        waited = self._clock.wait_until(self._clock.time() + seconds, interrupted)
        if gone_off:
            raise RolloutFailed(f"an alarm went off: {gone_off[0]}")
        if not waited:
            raise RolloutFailed("the twin was stopped")

    def _shift(self, rollout_id: str, move: AliasMove, percentage: int) -> None:
        weights = {} if percentage in (0, 100) else {move.to_version: percentage / 100}
        self._cloud.client("lambda", account=move.account, region=move.region).update_alias(
            FunctionName=move.function,
            Name=move.alias,
            FunctionVersion=move.to_version if percentage == 100 else move.from_version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )
        step = TrafficStep(self._clock.now(), percentage)
        self._change(rollout_id, steps=(*self._rollouts[rollout_id].steps, step))

    # -- hooks --------------------------------------------------------------------------------------------------

    def _run_hook(self, rollout_id: str, move: AliasMove, event: str, hook: str | None) -> None:
        if hook is None:
            return
        function = FunctionArn.parse(hook) if hook.startswith("arn:") else _named(move, hook)
        execution_id = uuid.uuid4().hex
        self._endpoint.expect(rollout_id, execution_id)
        payload = json.dumps({"DeploymentId": rollout_id, "LifecycleEventHookExecutionId": execution_id}).encode()
        reason, result = "", None
        try:
            result = self._invoke(function, payload)
        except InvokeError as error:
            reason = str(error)
        status = self._endpoint.status(rollout_id, execution_id)
        if status != SUCCEEDED:
            reason = reason or self._reason(function, result)
        self._change(
            rollout_id,
            hooks=(*self._rollouts[rollout_id].hooks, HookRun(event, function.name, status, reason)),
        )
        if status != SUCCEEDED:
            said = "reported Failed" if status == FAILED else "ended without a report"
            raise RolloutFailed(f"the hook {event} ({function.name}) {said}: {reason or 'its log says nothing of why'}")

    def _reason(self, function: FunctionArn, result: InvocationResult | None) -> str:
        """Why a hook failed: the last error in its log, else the error of its invocation."""
        if result is None:
            return ""
        lines = [
            line.message
            for line in self._logs.lines(function.name)
            if line.request_id == result.record.request_id and "ERROR" in line.message
        ]
        if lines:
            return _message(lines[-1])
        if result.function_error is None:
            return ""
        try:
            return str(json.loads(result.payload)["errorMessage"])
        except (KeyError, TypeError, ValueError):
            return result.record.error_type or ""

    # -- what is deployed ---------------------------------------------------------------------------------------

    def _routing(self, name: str) -> TrafficRouting:
        own = self._resource(_CONFIGURATION, name)
        return TrafficRouting.of(name, None if own is None else own.properties)

    def _resource(self, resource_type: str, physical_id: str) -> RecordedResource | None:
        return next((r for r in self._cloud.recorded.of_type(resource_type) if r.physical_id == physical_id), None)

    # -- records ------------------------------------------------------------------------------------------------

    def _keep(self, rollout: Rollout) -> None:
        with self._lock:
            self._rollouts[rollout.deployment_id] = rollout

    def _change(self, rollout_id: str, **changes: Any) -> None:
        with self._lock:
            self._rollouts[rollout_id] = replace(self._rollouts[rollout_id], **changes)


def _named(move: AliasMove, hook: str) -> FunctionArn:
    name, _, qualifier = hook.partition(":")
    return FunctionArn(move.account, move.region, name, qualifier or None)


def _alarm_names(group: Any) -> list[str]:
    configuration = dict(group.get("AlarmConfiguration") or {})
    if not configuration.get("Enabled", True):
        return []
    return [str(alarm["Name"]) for alarm in configuration.get("Alarms") or ()]


def _message(line: str) -> str:
    """The text of a line of Lambda's log, in either of its formats."""
    if line.startswith("{"):
        try:
            return str(json.loads(line)["message"])
        except (KeyError, TypeError, ValueError):
            return line
    return line.rpartition("\t")[2].strip() or line
