"""The picture of a graph: lines or stacked areas over time, with value axes on the left and the right."""

from collections.abc import Iterable

from onnx_inference.local.dashboard.figures import DrawnLine, Figure
from onnx_inference.local.dashboard.widgets import LEFT, RIGHT
from onnx_inference.local.pages import svg
from onnx_inference.local.pages.chart import picture, time_axis
from onnx_inference.local.pages.scales import LinearScale

COLOURS = 7
_HEIGHT, _TOP, _BOTTOM, _SIDE, _BARE_SIDE = 200, 10, 30, 46, 14
_AXIS_TICKS = 4


def graph(drawn: Figure, width: int) -> str:
    """The picture of a graph that has at least one line.

    Args:
        drawn: The graph.
        width: The width of the picture in pixels.
    """
    by_axis = {axis: [line for line in drawn.lines if line.line.axis == axis] for axis in (LEFT, RIGHT)}
    bottom = _HEIGHT - _BOTTOM
    right = width - (_SIDE if by_axis[RIGHT] else _BARE_SIDE)
    window = drawn.window
    x = LinearScale(0.0, window.count * window.period, _SIDE, right)
    parts = [time_axis(x, _TOP, bottom, right - _SIDE)]
    for axis, lines in by_axis.items():
        if not lines:
            continue
        y = LinearScale(0.0, _top_of(drawn, axis, lines), bottom, _TOP)
        parts.append(_value_axis(y, axis, _SIDE, right, grid=axis == LEFT or not by_axis[LEFT]))
        parts += _areas(lines, drawn, x, y) if drawn.widget.stacked else [_line(line, drawn, x, y) for line in lines]
        for limit in drawn.widget.limits:
            if limit.axis == axis and limit.value <= y.high:
                label = svg.title(f"{limit.label}: {number(limit.value)}")
                parts.append(
                    svg.element("line", label, x1=_SIDE, x2=right, y1=y(limit.value), y2=y(limit.value), class_="begin")
                )
    return picture(parts, width, _HEIGHT, drawn.widget.title)


def number(value: float) -> str:
    """A number as people read it: three significant digits, `k` for thousands, no exponent."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _top_of(drawn: Figure, axis: str, lines: list[DrawnLine]) -> float:
    """The upper end of an axis. A limit far above all values is left out: the lines would be flat at the bottom."""
    if drawn.widget.stacked:
        highest = max(sum(line.series.points.get(place, 0.0) for line in lines) for place in range(drawn.window.count))
    else:
        highest = max(max(line.series.points.values()) for line in lines)
    near = [limit.value for limit in drawn.widget.limits if limit.axis == axis and limit.value <= 2 * highest]
    return max([highest, *near]) * 1.08 or 1.0


def _value_axis(y: LinearScale, axis: str, left: float, right: float, *, grid: bool) -> str:
    parts = []
    for value in y.ticks(_AXIS_TICKS):
        if grid:
            parts.append(svg.element("line", x1=left, x2=right, y1=y(value), y2=y(value), class_="grid"))
        place = left - 6 if axis == LEFT else right + 6
        parts.append(svg.text(number(value), x=place, y=y(value) + 4, class_=f"label {'end' if axis == LEFT else ''}"))
    return svg.group(parts)


def _line(line: DrawnLine, drawn: Figure, x: LinearScale, y: LinearScale) -> str:
    middle = drawn.window.period / 2
    points = {n: (x(n * drawn.window.period + middle), y(value)) for n, value in line.series.points.items()}
    shape = "".join(
        f"{'L' if place - 1 in points else 'M'}{px:.1f} {py:.1f}" for place, (px, py) in sorted(points.items())
    )
    dots = [
        svg.element(
            "circle", svg.title(_tip(line, drawn, n)), cx=px, cy=py, r=2.2, class_=f"dot s{line.colour % COLOURS}"
        )
        for n, (px, py) in sorted(points.items())
    ]
    return svg.element("path", d=shape, class_=f"series s{line.colour % COLOURS}") + svg.group(dots)


def _areas(lines: list[DrawnLine], drawn: Figure, x: LinearScale, y: LinearScale) -> Iterable[str]:
    """Stacked areas. A line adds nothing in a period without a value."""
    period, ground = drawn.window.period, [0.0] * drawn.window.count
    for line in lines:
        top = [below + line.series.points.get(n, 0.0) for n, below in enumerate(ground)]
        boxes = []
        for n in sorted(line.series.points):
            begin, end = x(n * period), x((n + 1) * period)
            boxes.append(
                svg.element(
                    "rect",
                    svg.title(_tip(line, drawn, n)),
                    x=begin,
                    y=y(top[n]),
                    width=max(end - begin - 1, 0.5),
                    height=max(y(ground[n]) - y(top[n]), 0.0),
                    class_=f"area s{line.colour % COLOURS}",
                )
            )
        ground = top
        yield svg.group(boxes)


def _tip(line: DrawnLine, drawn: Figure, place: int) -> str:
    return f"{line.line.label}: {number(line.series.points[place])}, at {place * drawn.window.period:g} s"
