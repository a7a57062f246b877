"""The two pictures of a load: latency over time, and the timeline of environments."""

from collections.abc import Sequence

from onnx_inference.local.lambda_host.environment_records import PROVISIONED, SNAP_START
from onnx_inference.local.load import timeline
from onnx_inference.local.load.live_table import milliseconds
from onnx_inference.local.load.load_test import LoadResult, Sample
from onnx_inference.local.load.timeline import Row, Window, timeline_rows, window_of
from onnx_inference.local.pages import svg
from onnx_inference.local.pages.chart import WIDE, picture, time_axis
from onnx_inference.local.pages.page import chart_styles, file
from onnx_inference.local.pages.scales import LogScale

_MOST_DOTS = 2_000
_MOST_ROWS = 80
_ROW_HEIGHT, _BAR_HEIGHT = 20, 12
_TOP, _BOTTOM, _RIGHT = 26, 34, 12
_TYPES = {PROVISIONED: "provisioned", SNAP_START: "SnapStart"}
LEGEND = (
    (timeline.INIT, "init: a cold start"),
    (timeline.RESTORE, "restore from a snapshot"),
    (timeline.BUSY, "serves"),
    (timeline.PINGED, "a warmer's ping"),
    (timeline.IDLE, "idle, warm"),
    (timeline.WAITING, "snapshot kept ahead"),
    (timeline.FAILED, "failed"),
)


def shown_samples(samples: Sequence[Sample]) -> list[Sample]:
    """The requests that are drawn: all cold and failed ones, and an even choice of the others."""
    plain = [sample for sample in samples if not sample.cold and sample.succeeded]
    every = -(-len(plain) // _MOST_DOTS)
    kept = {sample.number for sample in (plain[::every] if every > 1 else plain)}
    return [sample for sample in samples if sample.number in kept or sample.cold or not sample.succeeded]


def latency_chart(result: LoadResult, width: int) -> str:
    """Latency over time on a logarithmic axis. Cold starts are marked.

    Args:
        result: The load.
        width: The width of the picture in pixels.
    """
    height = 300
    left = 58
    window = Window(result.started_at, result.ended_at)
    x = window.scale(left, width - _RIGHT)
    samples = shown_samples(result.samples)
    y = LogScale.around([sample.latency_ms for sample in samples], height - _BOTTOM, 14)
    parts = [time_axis(x, 14, height - _BOTTOM, width)]
    for value in y.ticks():
        parts.append(svg.element("line", x1=left, x2=width - _RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(svg.text(_duration(value), x=left - 8, y=y(value) + 4, class_="label end"))
    plain = [s for s in samples if not s.cold and s.succeeded]
    marked = [s for s in samples if s.cold or not s.succeeded]
    parts += [_dot(sample, x(window.offset(sample.at)), y(sample.latency_ms)) for sample in (*plain, *marked)]
    return picture(parts, width, height, "Latency of each request over time")


def _dot(sample: Sample, x: float, y: float) -> str:
    label = (
        f"{milliseconds(sample.latency_ms)}, status {sample.status or 'none'}{', cold start' if sample.cold else ''}"
    )
    if not sample.succeeded:
        shape = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
        return svg.element("path", svg.title(label), d=shape, class_="dot failed-dot")
    if sample.cold:
        shape = f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"
        return svg.element("path", svg.title(label), d=shape, class_="dot cold-dot")
    if sample.waited:
        return svg.element("circle", svg.title(f"{label}, waited"), cx=x, cy=y, r=2.6, class_="dot waited-dot")
    return svg.element("circle", svg.title(label), cx=x, cy=y, r=2.2, class_="dot warm-dot")


def timeline_chart(result: LoadResult, width: int) -> str:
    """One row for each environment.

    Args:
        result: The load.
        width: The width of the picture in pixels.
    """
    left = 132 if width >= 600 else 34
    window = window_of(result.environments, result.started_at, result.ended_at)
    x = window.scale(left, width - _RIGHT)
    every = timeline_rows(result.environments, window, x)
    rows = every[:_MOST_ROWS]
    bottom = _TOP + _ROW_HEIGHT * max(1, len(rows))
    begin = x(window.offset(result.started_at))
    parts = [time_axis(x, _TOP - 6, bottom, width, zero=window.offset(result.started_at))]
    for number, row in enumerate(rows):
        parts.append(_row(row, number, _TOP + number * _ROW_HEIGHT, left, wide=width >= 600))
    parts.append(svg.element("line", x1=begin, x2=begin, y1=10, y2=bottom, class_="begin"))
    parts.append(svg.text("load begins", x=begin + 4, y=14, class_="label"))
    height = bottom + _BOTTOM
    if len(every) > len(rows):
        parts.append(svg.text(f"and {len(every) - len(rows)} more", x=left, y=height + 6, class_="label"))
        height += 14
    return picture(parts, width, height, "Timeline of the execution environments")


def _row(row: Row, number: int, y: float, left: float, *, wide: bool) -> str:
    kind = _TYPES.get(row.record.initialization_type, "on demand")
    label = f"{number + 1} · {kind}" if wide else f"{number + 1}{'P' if kind == 'provisioned' else ''}"
    middle = y + _ROW_HEIGHT / 2
    mark = " provisioned" if kind == "provisioned" else ""
    parts = [svg.text(label, x=left - 8, y=middle + 4, class_=f"label end{mark}")]
    for bar in row.bars:
        thin = bar.kind in (timeline.IDLE, timeline.WAITING)
        height = 4 if thin else _BAR_HEIGHT
        parts.append(
            svg.element(
                "rect",
                svg.title(bar.title),
                x=bar.x,
                y=middle - height / 2,
                width=bar.width,
                height=height,
                class_=f"bar {bar.kind}{mark if bar.kind == timeline.IDLE else ''}",
            )
        )
    for x in row.cold_xs:
        shape = f"M{x:.1f} {middle - 9:.1f}l3.5 3.5l-3.5 3.5l-3.5 -3.5z"
        parts.append(svg.element("path", svg.title("a cold start"), d=shape, class_="dot cold-dot"))
    if row.ended_x is not None:
        end = svg.title(row.record.end_cause or "ended")
        parts.append(
            svg.element("line", end, x1=row.ended_x, x2=row.ended_x, y1=middle - 7, y2=middle + 7, class_="ended")
        )
    return svg.group(parts)


def standalone_timeline(result: LoadResult) -> str:
    """The timeline as a file of its own, with its styles and a legend."""
    inner = timeline_chart(result, WIDE)
    height = int(inner.partition('height="')[2].partition('"')[0])
    entries, x = [], 16
    for kind, label in LEGEND:
        entries.append(svg.element("rect", x=x, y=height + 8, width=14, height=10, class_=f"bar {kind}"))
        entries.append(svg.text(label, x=x + 20, y=height + 17, class_="label"))
        x += 40 + 6 * len(label)
    styles = chart_styles() + file(__package__, "load.css")
    background = svg.element("rect", width=WIDE, height=height + 34, class_="background")
    return svg.element(
        "svg",
        f"<style>{styles}</style>{background}{inner}{''.join(entries)}",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDE} {height + 34}",
        width=WIDE,
        height=height + 34,
    )


def _duration(value: float) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"
