"""The embedded cloud's alarms: what templates say of them is kept."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from onnx_inference.local.cloud.patches import Patches
from onnx_inference.local.cloud.records import RecordedResource

_ALARM = "AWS::CloudWatch::Alarm"


def patch_alarms(patches: Patches, account: str, region: str, recorded: MutableMapping[str, RecordedResource]) -> None:
    """Keep the properties of each alarm. An alarm of metric math, which MiniStack refuses, is kept and nothing else.

    Args:
        patches: Replaces MiniStack's handlers of alarms.
        account: Where the alarms are.
        region: Where the alarms are.
        recorded: Receives each alarm, by its ARN; a deleted one leaves.
    """
    original = patches.handlers[_ALARM]

    def arn_of(name: str) -> str:
        return f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"

    def keep(name: str, properties: Mapping[str, Any]) -> None:
        recorded[arn_of(name)] = RecordedResource(_ALARM, name, account, region, properties)

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

    patches.handle(_ALARM, {**original, "create": create, "update": update, "delete": delete})
