"""Deployment configurations: how much traffic is shifted, and when."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_CANARY = re.compile(r"CodeDeployDefault\.LambdaCanary(\d+)Percent(\d+)Minutes?")
_LINEAR = re.compile(r"CodeDeployDefault\.LambdaLinear(\d+)PercentEvery(\d+)Minutes?")
ALL_AT_ONCE = "CodeDeployDefault.LambdaAllAtOnce"


@dataclass(frozen=True)
class TrafficRouting:
    """The steps in which traffic is shifted.

    Attributes:
        percentage: The share of the first step; of each step when `linear` is true.
        minutes: The time between two steps.
        linear: Steps of the same size, instead of one step and then the rest.
    """

    percentage: int
    minutes: float = 0.0
    linear: bool = False

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any] | None = None) -> "TrafficRouting":
        """Read a deployment configuration.

        Args:
            name: Its name.
            properties: Its properties, when it is a resource of the template. Default: it is one of CodeDeploy's own.

        Raises:
            ValueError: There is no such configuration.
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
        """The percentages of the new version, each with the seconds until the next one. The last one is 100."""
        part = self.percentage
        while part < 100:
            yield part, self.minutes * 60
            part = part + self.percentage if self.linear else 100
        yield 100, 0.0
