"""What every chart has: the picture around it, its sizes, and a time axis."""

from collections.abc import Sequence

from onnx_inference.local.pages import svg
from onnx_inference.local.pages.scales import LinearScale

#: Widths in pixels: of a chart that has the page's whole width, and of one on a narrow screen.
WIDE, NARROW = 1040, 344
_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0))


def picture(parts: Sequence[str], width: int, height: float, label: str) -> str:
    """The SVG element of a picture. The label is for screen readers."""
    return svg.element(
        "svg",
        "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height:.0f}",
        width=width,
        height=int(height),
        role="img",
        aria_label=label,
    )


def time_axis(x: LinearScale, top: float, bottom: float, width: int, *, zero: float = 0.0) -> str:
    """Grid lines and the time. `zero` is the place on the scale where the time counts from."""
    unit, size = _unit(x.high - x.low)
    shifted = LinearScale((x.low - zero) / size, (x.high - zero) / size, x.begin, x.end)
    parts = []
    for value in shifted.ticks(10 if width >= 600 else 4):
        place = shifted(value)
        parts.append(svg.element("line", x1=place, x2=place, y1=top, y2=bottom, class_="grid"))
        parts.append(svg.text(f"{value:g} {unit}", x=place, y=bottom + 18, class_="label middle"))
    return svg.group(parts)


def _unit(span: float) -> tuple[str, float]:
    """The unit of a time axis of so many seconds, which may be days when the clock runs fast."""
    return next(((unit, size) for unit, size in _UNITS if span >= 4 * size), ("s", 1.0))
