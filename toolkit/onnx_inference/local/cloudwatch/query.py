"""The queries of dashboards and alarms: metrics, and expressions over other queries."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnx_inference.local.cloudwatch import metric_math, published, statistics
from onnx_inference.local.cloudwatch.metric_math import NotEvaluated
from onnx_inference.local.cloudwatch.observations import Metric, Observations
from onnx_inference.local.cloudwatch.series import Series, Window


@dataclass(frozen=True)
class MetricQuery:
    """A statistic of a metric."""

    metric: Metric
    statistic: str


@dataclass(frozen=True)
class ExpressionQuery:
    """Metric math over other queries."""

    expression: str


Query = MetricQuery | ExpressionQuery


def evaluate(identifier: str, queries: Mapping[str, Query], observations: Observations, window: Window) -> Series:
    """The series of one query.

    Args:
        identifier: The id of the query.
        queries: All queries, by id.
        observations: The values of metrics.
        window: The periods.

    Raises:
        NotEvaluated: It uses something that is not evaluated or not measured here.
        KeyError: There is no such query.
    """
    query = queries[identifier]
    if isinstance(query, MetricQuery):
        refuse_unmeasured(query)
        return Series.of(observations.of(query.metric), query.statistic, window)
    others = {name: other for name, other in queries.items() if name != identifier}
    return metric_math.evaluate(query.expression, window, lambda name: evaluate(name, others, observations, window))


def refuse_unmeasured(query: MetricQuery) -> None:
    """Check that the twin measures a metric and computes the statistic.

    Raises:
        NotEvaluated: It does not.
    """
    if not published.is_made_here(query.metric):
        raise NotEvaluated(f"{query.metric.namespace} {query.metric.name} is not measured here")
    if not statistics.is_known(query.statistic):
        raise NotEvaluated(f"the statistic {query.statistic} is not computed here")
