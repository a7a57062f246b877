"""The timeline of environments: one row each, with the init phase, idle and busy times, and the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onnx_inference.local.lambda_host.environment_records import PING, SNAP_START, EnvironmentRecord
from onnx_inference.local.pages.scales import LinearScale

INIT, RESTORE, WAITING, IDLE, BUSY, PINGED, FAILED = "init", "restore", "waiting", "idle", "busy", "ping", "failed"
#: The least width of a bar, so that short times can be seen.
_LEAST_WIDTH = 1.5
#: Busy bars with a smaller gap than this are drawn as one.
_MERGED_GAP = 0.75


@dataclass(frozen=True)
class Bar:
    """A part of a row."""

    kind: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Row:
    """One environment.

    `ended_x` is the place of its end, None while it lives. `cold_xs` are the places of cold starts.
    """

    record: EnvironmentRecord
    bars: tuple[Bar, ...]
    ended_x: float | None
    cold_xs: tuple[float, ...]


@dataclass(frozen=True)
class Window:
    """The time that is drawn."""

    start: datetime
    end: datetime

    def scale(self, begin: float, end: float) -> LinearScale:
        """Maps seconds since its start to places."""
        return LinearScale(0.0, max(self.seconds, 1e-3), begin, end)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()

    def offset(self, moment: datetime) -> float:
        """A moment in seconds since its start."""
        return (moment - self.start).total_seconds()


def window_of(environments: Sequence[EnvironmentRecord], started_at: datetime, ended_at: datetime) -> Window:
    """The time of the load, and the lives of environments before it for at most a fifth of that time."""
    earliest = started_at - (ended_at - started_at) / 5
    born = [record.created_at for record in environments]
    return Window(max(earliest, min([*born, started_at])), ended_at)


def timeline_rows(environments: Sequence[EnvironmentRecord], window: Window, scale: LinearScale) -> list[Row]:
    """The rows, in the order in which the environments were made.

    Args:
        environments: Their records.
        window: The time that is drawn; what lies outside is left out.
        scale: Maps seconds since its start to places.
    """
    rows = []
    for record in sorted(environments, key=lambda record: record.created_at):
        if record.created_at > window.end or (record.ended_at is not None and record.ended_at < window.start):
            continue
        ended = None if record.ended_at is None or record.ended_at > window.end else record.ended_at
        rows.append(
            Row(
                record,
                tuple(_merged([bar for bar in _bars(record, window, scale) if bar is not None])),
                None if ended is None else scale(window.offset(ended)),
                tuple(
                    scale(window.offset(s.started_at)) for s in record.busy if s.cold and s.started_at >= window.start
                ),
            )
        )
    return rows


def _bars(record: EnvironmentRecord, window: Window, scale: LinearScale) -> list[Bar | None]:
    def bar(kind: str, start: datetime, end: datetime | None, title: str) -> Bar | None:
        stop = window.end if end is None else end
        if stop < window.start or start > window.end:
            return None
        x, until = scale(window.offset(start)), scale(window.offset(stop))
        width = max(until - x, _LEAST_WIDTH)
        return Bar(kind, min(x, scale.end - width), width, title)

    end = record.ended_at
    bars: list[Bar | None] = []
    if record.initialization_type == SNAP_START:
        # The snapshot is made before: an event only waits for the restore.
        bars.append(bar(WAITING, record.created_at, record.restore_started_at or end, "initialised up to its snapshot"))
    else:
        took = "" if record.init_duration_ms is None else f", {record.init_duration_ms:.0f} ms"
        bars.append(bar(INIT, record.created_at, record.ready_at or end, f"init{took}"))
    for idle in record.idle:
        bars.append(bar(IDLE, idle.started_at, idle.ended_at, "idle"))
    if record.restore_started_at is not None:
        took = "" if record.restore_duration_ms is None else f", {record.restore_duration_ms:.0f} ms"
        bars.append(bar(RESTORE, record.restore_started_at, record.ready_at or end, f"restore{took}"))
    for span in record.busy:
        kind = PINGED if span.kind == PING else BUSY if span.status in ("success", "running") else FAILED
        took = "" if span.duration_ms is None else f", {span.duration_ms:.1f} ms"
        bars.append(bar(kind, span.started_at, span.ended_at, f"{span.kind}{', cold' if span.cold else ''}{took}"))
    return bars


def _merged(bars: list[Bar]) -> list[Bar]:
    """Merge busy bars that touch: a thousand requests in one pixel look like one."""
    kept: list[Bar] = []
    counts: dict[int, int] = {}
    for bar in bars:
        last = kept[-1] if kept else None
        if last is not None and bar.kind == last.kind == BUSY and bar.x - (last.x + last.width) < _MERGED_GAP:
            counts[len(kept) - 1] = counts.get(len(kept) - 1, 1) + 1
            title = f"{counts[len(kept) - 1]} requests"
            kept[-1] = Bar(last.kind, last.x, max(last.width, bar.x + bar.width - last.x), title)
        else:
            kept.append(bar)
    return kept
