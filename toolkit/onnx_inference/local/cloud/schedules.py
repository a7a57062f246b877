"""The embedded cloud's schedules and scheduled rules. The twin fires them itself, on its own clock."""

import contextvars
import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from onnx_inference.local.cloud.patches import Patches, ministack
from onnx_inference.local.cloud.records import CloudSchedule

_SCHEDULE = "AWS::Scheduler::Schedule"


class EmbeddedSchedules:
    """Reads schedules and rules, and delivers their events.

    Args:
        patches: Switches off MiniStack's own firing, and keeps what its CloudFormation drops of schedules.
    """

    def __init__(self, patches: Patches) -> None:
        self._scheduler = ministack("services.scheduler")
        self._events = ministack("services.eventbridge")
        patches.attribute(self._scheduler, "_tick_schedules", lambda: None)
        patches.attribute(self._events, "_tick_scheduled_rules", lambda: None)
        patches.after_each_change(_SCHEDULE, self._keep_what_is_dropped)

    def all(self) -> list[CloudSchedule]:
        """Every schedule, and every rule that has a schedule expression, of all accounts and regions."""
        found = [
            CloudSchedule(account, region, record, (record["Target"],), is_rule=False)
            for (account, region, _), record in list(self._scheduler._schedules._data.items())
        ]
        for (account, region, key), rule in list(self._events._rules._data.items()):
            if rule.get("ScheduleExpression"):
                targets = self._events._targets._data.get((account, region, key), ())
                found.append(CloudSchedule(account, region, rule, tuple(targets), is_rule=True))
        return found

    def event_for_target(self, rule: CloudSchedule, target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
        """What a rule's target receives: its Input, InputPath or InputTransformer applied to the event.

        Args:
            rule: The rule.
            target: One of its targets.
            event: The event, as EventBridge documents it.
        """
        view = self._events._pattern_event_view(
            {
                "EventId": event["id"],
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Detail": json.dumps(event["detail"]),
                "Time": datetime.fromisoformat(event["time"]).timestamp(),
                "Resources": event["resources"],
                "Account": event["account"],
                "Region": event["region"],
            }
        )
        whole = view.event_with_detail()
        if target.get("InputTransformer"):
            return str(self._events._apply_input_transformer(target["InputTransformer"], rule.record, view))
        if target.get("Input"):
            return str(target["Input"])
        for part in str(target.get("InputPath") or "").strip("$.").split("."):
            # A path that leads nowhere leaves the whole event in place.
            if not part or not isinstance(whole, dict) or part not in whole:
                break
            whole = whole[part]
        return json.dumps(whole)

    def deliver(self, schedule: CloudSchedule, target: Mapping[str, Any], payload: str) -> None:
        """Hand an event to a target that is no function: a queue, a topic, a state machine, a bus."""
        responses = ministack("core.responses")
        context = contextvars.copy_context()

        def dispatch() -> None:
            responses.set_request_account_id(schedule.account)
            responses.set_request_region(schedule.region)
            event = {"Source": "aws.events", "DetailType": "Scheduled Event", "Detail": "{}", "Time": time.time()}
            self._events._invoke_target({**target, "Input": payload}, event, schedule.record)

        context.run(dispatch)

    def _keep_what_is_dropped(self, name: str, properties: Mapping[str, Any]) -> None:
        kept = self._scheduler._schedules[f"{properties.get('GroupName', 'default')}/{name}"]
        kept["ScheduleExpressionTimezone"] = properties.get("ScheduleExpressionTimezone", "UTC")
        kept["State"] = properties.get("State", "ENABLED")
        kept["StartDate"], kept["EndDate"] = properties.get("StartDate"), properties.get("EndDate")
