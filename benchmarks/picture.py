"""The picture of a run: a bar per contender, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .report import shown
from .rounds import Chart, Figure, Result

WIDTH, MARGIN = 880, 32
LABELS = 300  # where the bars begin
ROW, BAR = 30, 16
VALUES = 92  # kept free at the right for the values
INK, SOFT, LINE, PAPER = "#1f2933", "#627282", "#d5dce3", "#ffffff"
OURS, THEIRS, SPREAD = "#0b7285", "#b8c4ce", "#3b4a57"
FONT = "font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif\""


def svg(results: Sequence[Result], date: str, cores: str) -> str:
    """A panel per result, one below the other."""
    body: list[str] = [
        _text(MARGIN, 44, "cdk-onnx-inference, measured beside others", size=20, weight=600),
        _text(MARGIN, 66, f"Shorter is better. Medians of one run in turns on {cores} cores, {date}.", fill=SOFT),
    ]
    y = 106
    for result in results:
        panel, height = _panel(result.chart, y)
        body += panel
        y += height
    note = "The dark line through a bar's end is the range of the middle half of the rounds."
    body.append(_text(MARGIN, y - 4, note, size=12, fill=SOFT))
    height = y + 20
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="Benchmarks" {FONT}>'
    )
    paper = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}" stroke="{LINE}"/>'
    return "\n".join([head, paper, *body, "</svg>", ""])


def _panel(chart: Chart, y: int) -> tuple[list[str], int]:
    """The chart's elements from `y` on, and its height."""
    figures = {label: Figure(label, "", values) for label, values in chart.bars.items()}
    longest = max(max(figure.median, figure.quartiles[1]) for figure in figures.values())
    scale = (WIDTH - MARGIN - VALUES - LABELS) / longest
    lines = [_text(MARGIN, y, chart.title, size=14, weight=600)]
    top = y + 14
    bottom = top + ROW * len(figures)
    lines.append(f'<path d="M{LABELS} {top}V{bottom}" stroke="{LINE}"/>')
    if not chart.unit:  # where the baseline is
        one = LABELS + scale
        lines.append(f'<path d="M{one:.1f} {top}V{bottom}" stroke="{SOFT}" stroke-dasharray="3 3"/>')
    for row, (label, figure) in enumerate(figures.items()):
        middle = top + ROW * row + ROW / 2
        ours = label == chart.ours
        first, third = (LABELS + value * scale for value in figure.quartiles)
        end = LABELS + figure.median * scale
        beside = max(end, third) + 10
        lines += [
            _text(LABELS - 12, middle + 4.5, label, anchor="end", weight=600 if ours else 400),
            f'<rect x="{LABELS}" y="{middle - BAR / 2:g}" width="{end - LABELS:.1f}" height="{BAR}" rx="2" '
            f'fill="{OURS if ours else THEIRS}"/>',
            f'<path d="M{first:.1f} {middle:g}H{third:.1f}" stroke="{SPREAD}" stroke-width="2"/>',
            # Keeps the baseline's line from crossing the value.
            f'<rect x="{beside - 4:.1f}" y="{middle - BAR / 2:g}" width="36" height="{BAR}" fill="{PAPER}"/>',
            _text(beside, middle + 4.5, _value(figure.median, chart.unit), weight=600 if ours else 400),
        ]
    return lines, bottom - y + 44


def _value(value: float, unit: str) -> str:
    return shown(value, unit) if unit else f"{value:.2f}"


def _text(
    x: float, y: float, text: str, *, size: int = 13, weight: int = 400, fill: str = INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
