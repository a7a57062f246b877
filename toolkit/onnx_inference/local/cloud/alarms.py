"""The embedded cloud's alarms: what templates say of them is kept. A part of the adapter to MiniStack."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from onnx_inference.local.cloud.records import RecordedResource

ALARM = "AWS::CloudWatch::Alarm"


def keeping_handlers(
    original: Mapping[str, Any], account: str, region: str, recorded: MutableMapping[str, RecordedResource]
) -> dict[str, Any]:
    """The handlers of the resource type, which keep each alarm's properties.

    Alarms of metric math, which MiniStack refuses, are kept and nothing else.

    Args:
        original: MiniStack's handlers.
        account: Where the alarms are.
        region: Where the alarms are.
        recorded: Receives each alarm, by its ARN; a deleted one leaves.
    """

    def arn_of(name: str) -> str:
        return f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"

    def keep(name: str, properties: Mapping[str, Any]) -> None:
        recorded[arn_of(name)] = RecordedResource(ALARM, name, account, region, properties)

    def create(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
        if "Metrics" in properties:
            name = properties.get("AlarmName") or f"{stack_name}-{logical_id}"
            made = (name, {"Arn": arn_of(name)})
        else:
            made = original["create"](logical_id, properties, stack_name)
        keep(made[0], properties)
        return made

    def update(
        physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack: str, logical_id: str | None = None
    ) -> Any:
        if "Metrics" in new:
            name = new.get("AlarmName") or physical_id
            made = (name, {"Arn": arn_of(name)})
        else:
            made = original["update"](physical_id, old, new, stack, logical_id)
        keep(made[0], new)
        return made

    def delete(physical_id: str, properties: Mapping[str, Any]) -> None:
        recorded.pop(arn_of(physical_id), None)
        if "Metrics" not in properties:
            original["delete"](physical_id, properties)

    return {**original, "create": create, "update": update, "delete": delete}
