"""Single values of metrics, as services publish them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric: CloudWatch tells metrics apart by namespace, name and dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Iterable[tuple[str, str]] = ()) -> "Metric":
        """A metric of these dimensions, in any order."""
        return cls(namespace, name, frozenset(dimensions))


@dataclass(frozen=True)
class Observation:
    """One value of one metric, at a time on the twin's clock."""

    metric: Metric
    at: float
    value: float


class Observations:
    """The values of metrics, by metric.

    Args:
        values: The values of all metrics.
    """

    def __init__(self, values: Iterable[Observation]) -> None:
        self._values: dict[Metric, list[tuple[float, float]]] = {}
        for observation in values:
            self._values.setdefault(observation.metric, []).append((observation.at, observation.value))

    def of(self, metric: Metric) -> list[tuple[float, float]]:
        """The times and values of a metric; empty when it has none."""
        return self._values.get(metric, [])
