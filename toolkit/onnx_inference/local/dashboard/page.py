"""The page of the deployed dashboards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from onnx_inference.local.cloudwatch.observations import Observations
from onnx_inference.local.dashboard.figures import DrawnLine, Figure, figure
from onnx_inference.local.dashboard.graph import COLOURS, graph, number
from onnx_inference.local.dashboard.widgets import RIGHT, GraphWidget, OtherWidget, Place, TextWidget, Widget
from onnx_inference.local.pages import svg
from onnx_inference.local.pages.chart import NARROW
from onnx_inference.local.pages.page import file, page

_WIDE, _COLUMNS, _PADDING = 1408, 24, 26
_NOT_DRAWN = {"alarm": "Alarms have no state here: their periods are longer than what was recorded."}
_NOTE = (
    "The dashboard is the deployed one; its values are made of what the local twin recorded, in CloudWatch's terms. "
    "Durations are this machine's, not Lambda's. A graph without values says why."
)


@dataclass(frozen=True)
class Dashboard:
    """A deployed dashboard: its name and its widgets."""

    name: str
    widgets: Sequence[Widget]


def write_dashboards(
    dashboards: Sequence[Dashboard],
    observations: Observations,
    begin: datetime,
    end: datetime,
    path: Path,
    *,
    speed: float = 1.0,
) -> Path:
    """Write the page.

    Args:
        dashboards: The dashboards to draw.
        observations: The values of metrics.
        begin: The begin of the time that is drawn, on the twin's clock.
        end: The end of that time.
        path: Where the page is written.
        speed: The speed of the twin's clock, for the subtitle.
    """
    path.write_text(dashboards_page(dashboards, observations, begin, end, speed=speed), encoding="utf-8")
    return path


def dashboards_page(
    dashboards: Sequence[Dashboard], observations: Observations, begin: datetime, end: datetime, *, speed: float = 1.0
) -> str:
    """The page; the arguments are those of `write_dashboards`."""
    drawn = [(board, _figures(board.widgets, observations, begin.timestamp(), end.timestamp())) for board in dashboards]
    figures = [shown for _, of_board in drawn for shown in of_board.values()]
    return page(
        ", ".join(board.name for board in dashboards),
        subtitle=_subtitle(figures, begin, end, speed),
        note=_NOTE,
        content="".join(_board(board, of_board, named=len(drawn) > 1) for board, of_board in drawn),
        footer=f"Made by <code>onnx-inference local --dashboard</code> on {datetime.now(UTC):%d %B %Y %H:%M} UTC.",
        style=file(__package__, "dashboard.css"),
    )


def _figures(widgets: Iterable[Widget], observations: Observations, begin: float, end: float) -> dict[int, Figure]:
    """The figures of the graphs, by their place in the list."""
    return {
        place: figure(widget, observations, begin, end)
        for place, widget in enumerate(widgets)
        if isinstance(widget, GraphWidget)
    }


def _subtitle(figures: Sequence[Figure], begin: datetime, end: datetime, speed: float) -> str:
    local = sorted({shown.window.period for shown in figures})
    theirs = sorted({shown.widget.period for shown in figures})
    quick = "" if speed == 1 else f" · the clock ran {speed:g} times as fast"
    seconds = (end - begin).total_seconds()
    periods = f"one value for every {_list(local)} s" if local else "no graphs"
    where = f" (on AWS this dashboard shows one for every {_list(theirs)} s)" if theirs != local and theirs else ""
    return f"{begin:%d %B %Y %H:%M:%S} UTC and {seconds:.0f} s on · {periods}{where}{quick}"


def _list(values: Sequence[float]) -> str:
    return " or ".join(f"{value:g}" for value in values)


def _board(board: Dashboard, figures: dict[int, Figure], *, named: bool) -> str:
    heading = f"<h2>{escape(board.name)}</h2>" if named else ""
    # A text is as high as its content here. So a widget is placed by rows, not by CloudWatch's units of height.
    rows = sorted({widget.place.y for widget in board.widgets})
    parts = [_widget(widget, figures.get(place), rows) for place, widget in enumerate(board.widgets)]
    return f'{heading}<div class="grid24">{"".join(parts)}</div>'


def _widget(widget: Widget, shown: Figure | None, rows: Sequence[int]) -> str:
    style = _position(widget.place, rows)
    if isinstance(widget, TextWidget):
        return f'<div class="words" style="{style}">{_markdown(widget.markdown)}</div>'
    title = f"<h3>{escape(widget.title)}</h3>"
    if isinstance(widget, OtherWidget):
        words = _words([_NOT_DRAWN.get(widget.kind, f"Widgets of type {widget.kind} are not drawn here.")])
        return f'<div class="widget" style="{style}">{title}{words}</div>'
    assert shown is not None
    return f'<div class="widget" style="{style}">{title}{_graph(shown)}</div>'


def _graph(shown: Figure) -> str:
    widget = shown.widget
    reasons = [f"{label}: {reason}" for label, reason in shown.missing]
    if widget.view != "timeSeries":
        reasons.append(f"On AWS this widget is a {widget.view}; here it is a graph.")
    if not shown.lines:
        return _words(["No values.", *reasons])
    wide = max(NARROW, widget.place.width * _WIDE // _COLUMNS - _PADDING)
    legend = "".join(_legend_entry(line) for line in shown.lines)
    limits = "".join(f"<li>{escape(limit.label)} at {number(limit.value)}</li>" for limit in widget.limits)
    return (
        f'<div class="wide">{graph(shown, wide)}</div><div class="narrow">{graph(shown, NARROW)}</div>'
        f'<ul class="legend">{legend}{limits}</ul>{_words(reasons)}'
    )


def _legend_entry(line: DrawnLine) -> str:
    box = svg.element("rect", y=1, width=12, height=10, class_=f"swatch s{line.colour % COLOURS}")
    swatch = svg.element("svg", box, width=12, height=12, viewBox="0 0 12 12", aria_hidden="true")
    side = ", right axis" if line.line.axis == RIGHT else ""
    highest = number(max(line.series.points.values()))
    return f"<li>{swatch}{escape(line.line.label)}{side}, at most {highest}</li>"


def _words(lines: Iterable[str]) -> str:
    entries = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="empty">{entries}</ul>' if entries else ""


def _position(place: Place, rows: Sequence[int]) -> str:
    row = rows.index(place.y) + 1
    span = max(1, sum(place.y <= y < place.y + place.height for y in rows))
    return f"grid-column:{place.x + 1}/span {place.width};grid-row:{row}/span {span}"


def _markdown(text: str) -> str:
    """The HTML of headings and paragraphs. Other Markdown stays as it is written."""
    parts = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        heading = line.lstrip("#")
        tag = "p" if heading == line else "h2"
        parts.append(f"<{tag}>{escape(heading.strip())}</{tag}>")
    return "".join(parts)
