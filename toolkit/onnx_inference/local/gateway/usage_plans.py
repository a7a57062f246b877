"""API keys and usage plans of REST APIs."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from onnx_inference.local.gateway.throttle import Throttles


class KeyRejected(Exception):
    """The request has no key that may use the stage, or a limit of the key is reached (`limited`)."""

    def __init__(self, *, limited: bool = False) -> None:
        self.limited = limited
        super().__init__("Too Many Requests" if limited else "Forbidden")


@dataclass(frozen=True)
class PlannedKey:
    """A key in a usage plan: the stages it may use, as `API/STAGE`, and its limits."""

    key_id: str
    value: str
    stages: frozenset[str]
    rate: float | None = None
    burst: int | None = None
    quota: int | None = None


class UsagePlans:
    """The keys of one account and region. Counts how many requests each has used since the twin started."""

    def __init__(self, keys: tuple[PlannedKey, ...] = ()) -> None:
        self.keys = keys
        self._throttles = Throttles()
        self._used: dict[str, int] = {}
        self._counting = Lock()

    def check(self, api_id: str, stage: str, value: str | None) -> PlannedKey:
        """The key of a request.

        Raises:
            KeyRejected: No key of that value may use the stage, or a limit of its plan is reached.
        """
        for key in self.keys:
            if value is not None and key.value == value and f"{api_id}/{stage}" in key.stages:
                if not self._throttles.allows(key.key_id, key.rate, key.burst):
                    raise KeyRejected(limited=True)
                with self._counting:
                    used = self._used.get(key.key_id, 0)
                    if key.quota is not None and used >= key.quota:
                        raise KeyRejected(limited=True)
                    self._used[key.key_id] = used + 1
                return key
        raise KeyRejected


def read_usage_plans(client: Any) -> tuple[PlannedKey, ...]:
    """Read every enabled key that belongs to a usage plan, through the `apigateway` client."""
    values = {
        item["id"]: item["value"]
        for item in client.get_api_keys(includeValues=True, limit=500)["items"]
        if item.get("enabled", True)
    }
    keys = []
    for plan in client.get_usage_plans(limit=500)["items"]:
        stages = frozenset(f"{stage['apiId']}/{stage['stage']}" for stage in plan.get("apiStages", ()))
        throttle: Mapping[str, Any] = plan.get("throttle") or {}
        for member in client.get_usage_plan_keys(usagePlanId=plan["id"], limit=500)["items"]:
            if member["id"] in values:
                keys.append(
                    PlannedKey(
                        key_id=member["id"],
                        value=values[member["id"]],
                        stages=stages,
                        rate=throttle.get("rateLimit"),
                        burst=throttle.get("burstLimit"),
                        quota=(plan.get("quota") or {}).get("limit"),
                    )
                )
    return tuple(keys)
