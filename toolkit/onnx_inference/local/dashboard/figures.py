"""The numbers of a graph: its lines with their values, and the lines without values with the reason."""

from dataclasses import dataclass

from onnx_inference.local.cloudwatch.metric_math import NotEvaluated
from onnx_inference.local.cloudwatch.observations import Observations
from onnx_inference.local.cloudwatch.query import evaluate
from onnx_inference.local.cloudwatch.series import Series, Window
from onnx_inference.local.dashboard.widgets import GraphWidget, Line

#: Periods in seconds of the clock. The finest one is taken that gives at most `_MOST_POINTS` values.
_PERIODS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_MOST_POINTS = 60


@dataclass(frozen=True)
class DrawnLine:
    """A line that has values. `colour` is its index among the lines of the graph."""

    line: Line
    series: Series
    colour: int


@dataclass(frozen=True)
class Figure:
    """A graph with its numbers.

    Attributes:
        widget: The graph.
        lines: The lines that have values.
        missing: The labels of the other lines, with the reason.
        window: The periods.
    """

    widget: GraphWidget
    lines: tuple[DrawnLine, ...]
    missing: tuple[tuple[str, str], ...]
    window: Window


def local_period(seconds: float, of_dashboard: float) -> float:
    """The period of a graph over so many seconds of the clock. It is never coarser than the dashboard's."""
    fitting = (period for period in _PERIODS if seconds / period <= _MOST_POINTS)
    return min(next(fitting, of_dashboard), of_dashboard)


def figure(widget: GraphWidget, observations: Observations, begin: float, end: float) -> Figure:
    """Evaluate the lines of a graph.

    Args:
        widget: The graph.
        observations: The values of metrics.
        begin: The begin of the graph on the twin's clock, in seconds since 1970.
        end: The end of the graph.
    """
    window = Window.around(begin, end, local_period(end - begin, widget.period))
    lines: list[DrawnLine] = []
    missing: list[tuple[str, str]] = []
    for line in (line for line in widget.lines if line.visible):
        try:
            series = evaluate(line.identifier, widget.queries, observations, window)
        except NotEvaluated as error:
            missing.append((line.label, str(error)))
            continue
        if series.points:
            lines.append(DrawnLine(line, series, len(lines)))
        else:
            missing.append((line.label, "no value in this time"))
    return Figure(widget, tuple(lines), tuple(missing), window)
