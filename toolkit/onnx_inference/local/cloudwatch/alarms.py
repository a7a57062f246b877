"""Alarms. They are evaluated only while traffic is shifted to a new version."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.cloudwatch.metric_math import NotEvaluated
from onnx_inference.local.cloudwatch.observations import Metric, Observations
from onnx_inference.local.cloudwatch.query import ExpressionQuery, MetricQuery, Query, evaluate
from onnx_inference.local.cloudwatch.series import Window

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

#: The values of metrics since a time on the twin's clock.
Observe = Callable[[float], Observations]


@dataclass(frozen=True)
class Alarm:
    """An alarm on one metric or expression.

    Attributes:
        name: Its name.
        identifier: The id of the query that is compared.
        queries: The queries, by id.
        period: The length of a period in seconds.
        periods: How many periods are evaluated.
        breaching: How many of these must breach the threshold.
        comparison: CloudWatch's name of the comparison operator.
        threshold: The threshold.
        missing_breaches: Whether a period without a value counts as breaching.
    """

    name: str
    identifier: str
    queries: Mapping[str, Query]
    period: float
    periods: int
    breaching: int
    comparison: str
    threshold: float
    missing_breaches: bool = False

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any]) -> "Alarm":
        """Read the properties of an `AWS::CloudWatch::Alarm`.

        Raises:
            NotEvaluated: It uses something that is not evaluated here.
        """
        comparison = str(properties["ComparisonOperator"])
        if comparison not in _COMPARISONS:
            raise NotEvaluated(f"{comparison} is not evaluated here")
        queries: dict[str, Query] = {}
        periods = [float(properties["Period"])] if "Period" in properties else []
        if "MetricName" in properties:
            identifier = "m1"
            statistic = properties.get("Statistic") or properties.get("ExtendedStatistic")
            queries[identifier] = MetricQuery(_metric(properties), str(statistic))
        else:
            identifier = ""
            for entry in properties.get("Metrics") or ():
                stat = entry.get("MetricStat")
                if entry.get("ReturnData", True):
                    identifier = entry["Id"]
                if stat is None:
                    queries[entry["Id"]] = ExpressionQuery(str(entry["Expression"]))
                else:
                    queries[entry["Id"]] = MetricQuery(_metric(stat["Metric"]), str(stat["Stat"]))
                period = entry.get("Period") or (stat or {}).get("Period")
                periods += [float(period)] if period else []
        if not queries or not identifier:
            raise NotEvaluated("it compares nothing that is known here")
        evaluation = int(properties["EvaluationPeriods"])
        alarm = cls(
            name=name,
            identifier=identifier,
            queries=queries,
            period=max(periods, default=60.0),
            periods=evaluation,
            breaching=int(properties.get("DatapointsToAlarm") or evaluation),
            comparison=comparison,
            threshold=float(properties["Threshold"]),
            missing_breaches=properties.get("TreatMissingData") == "breaching",
        )
        alarm.why(Observations([]), 0.0)  # raises what it cannot evaluate
        return alarm

    def why(self, observations: Observations, now: float) -> str | None:
        """Why it is in alarm; None when it is not. The current period counts already."""
        end = (now // self.period + 1) * self.period
        window = Window(end - self.periods * self.period, self.periods, self.period)
        points = evaluate(self.identifier, self.queries, observations, window).points
        compare = _COMPARISONS[self.comparison]
        beyond = [value for value in points.values() if compare(value, self.threshold)]
        count = len(beyond) + (self.periods - len(points) if self.missing_breaches else 0)
        if count < self.breaching:
            return None
        values = ", ".join(f"{value:g}" for value in beyond) or "no value"
        return f"{self.name}: {values} ({self.comparison} {self.threshold:g})"


class AlarmsWatched:
    """The alarms that a rollout watches.

    Args:
        names: The names of the alarms.
        properties: The properties of all deployed alarms, by name.
        observe: Tells the values of metrics.
        now: Tells the time on the twin's clock.
    """

    def __init__(
        self,
        names: Sequence[str],
        properties: Mapping[str, Mapping[str, Any]],
        observe: Observe,
        now: Callable[[], float],
    ) -> None:
        self._observe = observe
        self._now = now
        self._alarms: list[Alarm] = []
        unwatched = []
        for name in names:
            if name not in properties:
                unwatched.append((name, "it is no metric alarm of a deployed stack"))
                continue
            try:
                self._alarms.append(Alarm.of(name, properties[name]))
            except NotEvaluated as error:
                unwatched.append((name, str(error)))
        #: The names of the alarms that cannot be evaluated here, with the reason.
        self.unwatched = tuple(unwatched)

    @property
    def watched(self) -> tuple[str, ...]:
        """The names of the alarms that are evaluated."""
        return tuple(alarm.name for alarm in self._alarms)

    def in_alarm(self) -> str | None:
        """Why the first alarm that is in alarm is so; None when none is."""
        now = self._now()
        longest = max((alarm.period * alarm.periods for alarm in self._alarms), default=None)
        if longest is None:
            return None
        observations = self._observe(now - longest)
        return next((why for alarm in self._alarms if (why := alarm.why(observations, now))), None)


def _metric(properties: Mapping[str, Any]) -> Metric:
    dimensions = [(str(d["Name"]), str(d["Value"])) for d in properties.get("Dimensions") or ()]
    return Metric.of(str(properties["Namespace"]), str(properties["MetricName"]), dimensions)
