"""How traffic goes over: what a deployment configuration says, CodeDeploy's own by their names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_CANARY = re.compile(r"CodeDeployDefault\.LambdaCanary(\d+)Percent(\d+)Minutes?")
_LINEAR = re.compile(r"CodeDeployDefault\.LambdaLinear(\d+)PercentEvery(\d+)Minutes?")
ALL_AT_ONCE = "CodeDeployDefault.LambdaAllAtOnce"


@dataclass(frozen=True)
class TrafficRouting:
    """Parts of the traffic, and the time between them.

    Attributes:
        percentage: Of the first part; with `linear` of each.
        minutes: Between two parts.
        linear: Parts of this size one after another, instead of one part and then the rest.
    """

    percentage: int
    minutes: float = 0.0
    linear: bool = False

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any] | None = None) -> "TrafficRouting":
        """Read a deployment configuration.

        Args:
            name: Its name.
            properties: Of the template's own configuration of this name.

        Raises:
            ValueError: Nothing is known of it.
        """
        routing = dict((properties or {}).get("TrafficRoutingConfig") or {})
        kind = routing.get("Type")
        if kind == "AllAtOnce" or (properties is None and name == ALL_AT_ONCE):
            return cls(100)
        if kind == "TimeBasedCanary":
            canary = routing["TimeBasedCanary"]
            return cls(int(canary["CanaryPercentage"]), float(canary["CanaryInterval"]))
        if kind == "TimeBasedLinear":
            linear = routing["TimeBasedLinear"]
            return cls(int(linear["LinearPercentage"]), float(linear["LinearInterval"]), linear=True)
        found = _CANARY.fullmatch(name)
        if found:
            return cls(int(found[1]), float(found[2]))
        found = _LINEAR.fullmatch(name)
        if found:
            return cls(int(found[1]), float(found[2]), linear=True)
        raise ValueError(f"The deployment configuration {name} is not known here.")

    def parts(self) -> Iterator[tuple[int, float]]:
        """Percentages of the new version, each with the seconds until the next one; the last one is 100."""
        part = self.percentage
        while part < 100:
            yield part, self.minutes * 60
            part = part + self.percentage if self.linear else 100
        yield 100, 0.0
