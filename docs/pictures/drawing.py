"""Draws a graph as an SVG: calls go down from row to row, and what is read and written stands at the right.

The picture brings its own background and follows the reader's preference for light or dark. Its text depends on the
graph alone, so that it can be compared with a committed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from .graph import Graph, Node

_WIDTH, _HEIGHT = 226, 64
_GAP = 34
_MARGIN = 24
_LANE = 18
"""Between two lines that lead to stores."""
_ROOM = 46
"""Below a row, for arrows to the next and their labels."""

_STYLE: Final = """
.page{fill:#ffffff;stroke:#d5dbe3}
.box{fill:#f6f8fa;stroke-width:1.5}
.outside{stroke:#8b949e;stroke-dasharray:5 3}.api{stroke:#8250df}.compute{stroke:#d4680b}
.message{stroke:#cf3a76}.store{stroke:#1a7f5a}
text{font-family:system-ui,-apple-system,"Segoe UI","Liberation Sans",Arial,sans-serif;fill:#1f2328}
.title{font-size:14px;font-weight:600}.kind,.detail,.word{font-size:11px;fill:#57606a}
.word{paint-order:stroke;stroke:#ffffff;stroke-width:4px;stroke-linejoin:round}
.call{fill:none;stroke:#57606a;stroke-width:1.4}.head{fill:#57606a}
.use{fill:none;stroke-width:1.3}
.s0{stroke:#1a7f5a}.s1{stroke:#0969da}.s2{stroke:#9a6700}.s3{stroke:#8250df}
.d0{fill:#1a7f5a}.d1{fill:#0969da}.d2{fill:#9a6700}.d3{fill:#8250df}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117;stroke:#30363d}.box{fill:#161b22}
.outside{stroke:#8b949e}.api{stroke:#a371f7}.compute{stroke:#f0883e}.message{stroke:#f778ba}.store{stroke:#3fb950}
text{fill:#e6edf3}.kind,.detail,.word{fill:#9aa4af}.word{stroke:#0d1117}
.call{stroke:#9aa4af}.head{fill:#9aa4af}
.s0{stroke:#3fb950}.s1{stroke:#58a6ff}.s2{stroke:#d29922}.s3{stroke:#a371f7}
.d0{fill:#3fb950}.d1{fill:#58a6ff}.d2{fill:#d29922}.d3{fill:#a371f7}
}
"""


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.x + _WIDTH / 2

    @property
    def bottom(self) -> float:
        return self.y + _HEIGHT


def svg(graph: Graph, *, title: str) -> str:
    """The picture, as the text of an SVG file."""
    return _Drawing(graph, title).text()


class _Drawing:
    def __init__(self, graph: Graph, title: str) -> None:
        self._graph = graph
        self._title = title
        self._stores = [key for key, node in graph.nodes.items() if node.group == "store"]
        self._rows = _ranks(graph, [key for key in graph.nodes if key not in self._stores])
        self._columns = _columns(graph, self._rows)
        self._uses = {
            (key, store): graph.uses[key, store]
            for key in self._rows
            for store in self._stores
            if (key, store) in graph.uses
        }
        self._tops = self._row_tops()
        self._places = {
            key: _Place(_MARGIN + self._columns[key] * (_WIDTH + _GAP), self._tops[row])
            for key, row in self._rows.items()
        }
        right = max(place.x for place in self._places.values()) + _WIDTH
        self._rails = {store: right + 78 + _LANE * number for number, store in enumerate(self._stores)}
        if self._stores:
            self._place_stores(max(self._rails.values()) + 30)

    def text(self) -> str:
        boxes = [self._box(node) for node in self._graph.nodes.values()]
        lines = [self._use_lines(row) for row in sorted(set(self._rows.values()))]
        calls = [self._call(source, target) for source, target in self._graph.calls if target in self._rows]
        width = max(place.x for place in self._places.values()) + _WIDTH + _MARGIN
        bottom = max(place.bottom for place in self._places.values()) + _MARGIN
        used = max((self._lane(row, number) for row, number in self._last_lanes()), default=0.0)
        height = max(bottom, used + _MARGIN) + (22 if self._graph.others else 0)
        with_them = f"In the template too: {', '.join(self._graph.others)}."
        note = (
            f'<text class="detail" x="{_MARGIN}" y="{_n(height - 16)}">{with_them}</text>' if self._graph.others else ""
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
                f'width="{_n(width)}" height="{_n(height)}" role="img">',
                f"<title>{escape(self._title)}</title>",
                f"<style>{_STYLE}</style>",
                '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
                'orient="auto"><path class="head" d="M0 0.5L8 4L0 7.5z"/></marker></defs>',
                f'<rect class="page" x="0.5" y="0.5" width="{_n(width - 1)}" height="{_n(height - 1)}" rx="8"/>',
                *filter(None, [*lines, *calls, *boxes, note]),
                "</svg>",
                "",
            ]
        )

    # -- where things are ----------------------------------------------------------------------------------------

    def _lines_below(self, row: int) -> list[tuple[str, str]]:
        """Lines from a row to stores, the topmost first: that of the rightmost box."""
        lines = [use for use in self._uses if self._rows[use[0]] == row]
        return sorted(lines, key=lambda use: (-self._columns[use[0]], -self._stores.index(use[1])))

    def _last_lanes(self) -> list[tuple[int, int]]:
        return [(row, len(self._lines_below(row)) - 1) for row in set(self._rows.values()) if self._lines_below(row)]

    def _row_tops(self) -> dict[int, float]:
        tops, y = {}, float(_MARGIN)
        for row in range(max(self._rows.values()) + 1):
            tops[row] = y
            lines = len(self._lines_below(row))
            y += _HEIGHT + _ROOM + (_LANE * lines + 6 if lines else 0)
        return tops

    def _lane(self, row: int, number: int) -> float:
        return self._tops[row] + _HEIGHT + 20 + _LANE * number

    def _place_stores(self, x: float) -> None:
        def wanted(store: str) -> float:
            rows = [self._lane(self._rows[key], 0) for key, of in self._uses if of == store]
            return sum(rows) / len(rows) - _HEIGHT / 2 if rows else _MARGIN

        lanes = [
            self._lane(row, number) for row in set(self._rows.values()) for number in range(len(self._lines_below(row)))
        ]
        below = float(_MARGIN)
        for store in self._stores:
            y = max(below, wanted(store))
            while any(abs(lane - y - _HEIGHT / 2) < 6 for lane in lanes):  # two lines on one height look like one
                y += 3
            self._places[store] = _Place(x, y)
            below = y + _HEIGHT + 22

    # -- what is drawn -------------------------------------------------------------------------------------------

    def _box(self, node: Node) -> str:
        place = self._places[node.key]
        x, y = place.x + 12, place.y
        texts = [("kind", 18, node.kind), ("title", 36, node.title), ("detail", 53, node.detail)]
        return (
            f'<rect class="box {node.group}" x="{_n(place.x)}" y="{_n(y)}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>'
            + "".join(
                f'<text class="{kind}" x="{_n(x)}" y="{_n(y + down)}">{escape(words)}</text>'
                for kind, down, words in texts
                if words
            )
        )

    def _call(self, source: str, target: str) -> str:
        start, end = self._places[source], self._places[target]
        sources = [key for key, to in self._graph.calls if to == target]
        sources.sort(key=lambda key: self._places[key].x)
        entry = end.middle + (sources.index(source) - (len(sources) - 1) / 2) * 28
        bend = end.y - 26
        line = f"M{_n(start.middle)} {_n(start.bottom)}V{_n(bend)}H{_n(entry)}V{_n(end.y)}"
        words = self._graph.calls[source, target]
        label = f'<text class="word" x="{_n(entry + 8)}" y="{_n(end.y - 10)}">{escape(words)}</text>' if words else ""
        if self._rows[target] <= self._rows[source]:  # back to where it came from: around the left side
            left = min(start.x, end.x) - 12
            line = f"M{_n(start.x)} {_n(start.y + _HEIGHT / 2)}H{_n(left)}V{_n(end.y + _HEIGHT / 2)}H{_n(end.x)}"
            label = f'<text class="word" x="{_n(left + 4)}" y="{_n(end.bottom + 12)}">{escape(words)}</text>'
        return f'<path class="call" d="{line}" marker-end="url(#head)"/>{label}'

    def _use_lines(self, row: int) -> str:
        parts = []
        offsets: dict[str, int] = {}
        for number, (key, store) in enumerate(self._lines_below(row)):
            place, end = self._places[key], self._places[store]
            hue = self._stores.index(store) % 4
            right = place.x + _WIDTH - 18 - 16 * offsets.get(key, 0)
            offsets[key] = offsets.get(key, 0) + 1
            lane, middle = self._lane(row, number), end.y + _HEIGHT / 2
            line = f"M{_n(right)} {_n(place.bottom)}V{_n(lane)}H{_n(self._rails[store])}V{_n(middle)}H{_n(end.x)}"
            parts.append(f'<path class="use s{hue}" d="{line}"/>')
            parts.append(f'<circle class="d{hue}" cx="{_n(end.x)}" cy="{_n(middle)}" r="3.5"/>')
            words = escape(", ".join(self._uses[key, store]))
            parts.append(f'<text class="word" x="{_n(place.x + _WIDTH - 12)}" y="{_n(lane - 4)}">{words}</text>')
        return "".join(parts)


def _ranks(graph: Graph, keys: list[str]) -> dict[str, int]:
    """The row of each box: below all that call it. A call back to what came before makes no row."""
    callers = {key: [source for source, target in graph.calls if target == key and source in keys] for key in keys}
    ranks: dict[str, int] = {}

    def rank(key: str, above: tuple[str, ...]) -> int:
        if key not in ranks:
            before = [rank(caller, (*above, key)) for caller in callers[key] if caller not in (*above, key)]
            ranks[key] = max(before, default=-1) + 1
        return ranks[key]

    for key in keys:
        rank(key, ())
    return ranks


def _columns(graph: Graph, rows: Mapping[str, int]) -> dict[str, float]:
    """The column of each box: what calls several stands above their middle."""
    columns: dict[str, float] = {}
    children: dict[str, list[str]] = {key: [] for key in rows}
    placed: set[str] = set()
    for source, target in graph.calls:
        if target in rows and target not in placed and source in rows and rows[source] == rows[target] - 1:
            children[source].append(target)
            placed.add(target)
    taken: dict[int, float] = {}
    for root in rows:
        if root in placed:
            continue
        tree = _tree(root, children)
        # As far to the left as all of its rows allow.
        starts: dict[int, float] = {}
        for key, column in tree.items():
            starts[rows[key]] = min(column, starts.get(rows[key], column))
        shift = max(0.0, *(taken.get(row, -1.0) + 1 - start for row, start in starts.items()))
        for key, column in tree.items():
            columns[key] = column + shift
            taken[rows[key]] = max(columns[key], taken.get(rows[key], 0.0))
    return columns


def _tree(root: str, children: Mapping[str, list[str]]) -> dict[str, float]:
    """The columns of a box and of all below it, from 0 on."""
    columns: dict[str, float] = {}
    free = 0

    def place(key: str) -> None:
        nonlocal free
        if not children[key]:
            columns[key] = float(free)
            free += 1
            return
        for child in children[key]:
            place(child)
        columns[key] = (columns[children[key][0]] + columns[children[key][-1]]) / 2

    place(root)
    return columns


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
