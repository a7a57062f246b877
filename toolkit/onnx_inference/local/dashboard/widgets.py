"""The widgets of a dashboard's JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.cloudwatch.observations import Metric
from onnx_inference.local.cloudwatch.query import ExpressionQuery, MetricQuery, Query

LEFT, RIGHT = "left", "right"
#: The period in seconds of a dashboard that names none.
DEFAULT_PERIOD = 300.0


@dataclass(frozen=True)
class Line:
    """A line of a graph: one query.

    Attributes:
        identifier: The id of the query.
        label: The name in the legend.
        axis: `left` or `right`.
        visible: Whether it is drawn. Other queries are only used in expressions.
    """

    identifier: str
    label: str
    axis: str = LEFT
    visible: bool = True


@dataclass(frozen=True)
class Limit:
    """A horizontal annotation."""

    label: str
    value: float
    axis: str = LEFT


@dataclass(frozen=True)
class Place:
    """Where a widget is, in CloudWatch's 24 columns."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class TextWidget:
    """Text, in Markdown."""

    place: Place
    markdown: str


@dataclass(frozen=True)
class GraphWidget:
    """A graph of metrics.

    Attributes:
        place: Where it is.
        title: Its title.
        queries: The queries, by id.
        lines: The lines.
        limits: The horizontal annotations.
        stacked: Whether the lines are stacked areas.
        period: The period of the dashboard, in seconds.
        view: How CloudWatch shows it; `timeSeries` is a graph.
    """

    place: Place
    title: str
    queries: Mapping[str, Query]
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()
    stacked: bool = False
    period: float = DEFAULT_PERIOD
    view: str = "timeSeries"


@dataclass(frozen=True)
class OtherWidget:
    """A widget of a kind that is not drawn here."""

    place: Place
    kind: str
    title: str


Widget = TextWidget | GraphWidget | OtherWidget


def read_widgets(body: str) -> list[Widget]:
    """The widgets of a DashboardBody, in its order."""
    return [_widget(entry) for entry in json.loads(body).get("widgets", ())]


def _widget(entry: Mapping[str, Any]) -> Widget:
    place = Place(*(int(entry.get(name, standard)) for name, standard in _PLACE))
    properties = dict(entry.get("properties") or {})
    if entry["type"] == "text":
        return TextWidget(place, str(properties.get("markdown", "")))
    title = str(properties.get("title", ""))
    if entry["type"] != "metric" or "metrics" not in properties:
        return OtherWidget(place, str(entry["type"]), title)
    period = float(properties.get("period", DEFAULT_PERIOD))
    statistic = str(properties.get("stat", "Average"))
    queries, lines, periods = _queries(properties["metrics"], statistic)
    limits = tuple(
        Limit(str(limit.get("label", "")), float(limit["value"]), str(limit.get("yAxis", LEFT)))
        for limit in (properties.get("annotations") or {}).get("horizontal", ())
        if isinstance(limit, Mapping)
    )
    return GraphWidget(
        place=place,
        title=title,
        queries=queries,
        lines=lines,
        limits=limits,
        stacked=bool(properties.get("stacked")),
        period=min(periods, default=period),
        view=str(properties.get("view", "timeSeries")),
    )


_PLACE = (("x", 0), ("y", 0), ("width", 6), ("height", 6))


def _queries(
    metrics: Sequence[Sequence[Any]], statistic: str
) -> tuple[dict[str, Query], tuple[Line, ...], list[float]]:
    """The queries, their lines, and the periods that they name."""
    queries: dict[str, Query] = {}
    lines: list[Line] = []
    periods: list[float] = []
    before: list[str] = []
    for number, entry in enumerate(metrics):
        options = dict(entry[-1]) if isinstance(entry[-1], Mapping) else {}
        parts = [str(part) for part in entry if not isinstance(part, Mapping)]
        identifier = str(options.get("id", f"unnamed{number}"))
        if parts:
            before = parts = _written_out(parts, before)
            namespace, name, *dimensions = parts
            metric = Metric.of(namespace, name, zip(dimensions[::2], dimensions[1::2], strict=True))
            queries[identifier] = MetricQuery(metric, str(options.get("stat", statistic)))
            label = name
        else:
            label = str(options["expression"])
            queries[identifier] = ExpressionQuery(label)
        if "period" in options:
            periods.append(float(options["period"]))
        lines.append(
            Line(
                identifier,
                str(options.get("label", label)),
                str(options.get("yAxis", LEFT)),
                bool(options.get("visible", True)),
            )
        )
    return queries, tuple(lines), periods


def _written_out(parts: list[str], before: list[str]) -> list[str]:
    """Expand the shorthand of dashboards: `.` repeats one part of the entry before, `...` all parts."""
    if parts and parts[0] == "...":
        kept = len(before) - (len(parts) - 1)
        return [*before[:kept], *parts[1:]]
    return [before[place] if part == "." else part for place, part in enumerate(parts)]
