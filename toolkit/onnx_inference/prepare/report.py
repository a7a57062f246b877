"""Shows progress on standard error, and results on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from .bench import Measurement
from .comparison import Compared
from .errors import Refused
from .parity import OutputParity
from .preparation import Prepared


class Report:
    """Writes for people.

    Args:
        out: Console of the result.
        err: Console of progress and refusals.
    """

    def __init__(self, out: Console, err: Console) -> None:
        self._out = out
        self._err = err

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """A line with a bar while it runs on a terminal; a plain line elsewhere."""
        if not self._err.is_terminal:
            self._err.print(f"{what} ...")
            yield lambda: None
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)
            progress.update(task, total=total or 1, completed=total or 1)

    def prepared(self, target: Path, result: Prepared) -> None:
        """The table, the choice and its reasons."""
        table = Table("", "before", "after", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        table.add_row("size", _mb(result.size_before), _mb(result.size_after))
        _add_measurements(table, result.before, result.after)
        if (batches := result.batching) is not None:
            table.add_row("rows of a micro-batch", "", f"{batches.recommended} ({batches.gain():.1f} x rows/s)")
        table.add_row("agreement", "", _agreement(result.parity))
        table.add_row("largest difference", "", _difference(result.parity))
        self._out.print(table)
        self._out.print()
        for reason in result.manifest["reasons"]:
            self._out.print(f"- {reason}", markup=False, highlight=False)
        self._out.print()
        self._out.print(
            f"{target}: model {result.manifest['name']!r} version {result.manifest['version']}, "
            f"{result.manifest['digest']}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def compared(self, result: Compared) -> None:
        """The two packages in columns."""
        first, second = result.packages
        table = Table("", str(first.directory), str(second.directory), box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        table.add_row("size", _mb(first.size), _mb(second.size))
        _add_measurements(table, *result.measured)
        table.add_row("agreement", "", _agreement(result.parity))
        table.add_row("largest difference", "", _difference(result.parity))
        self._out.print(table)

    def refused(self, refusal: Refused) -> None:
        """What is wrong, and what mends it."""
        self._err.print(
            f"Error ({refusal.code}): {refusal.problem}\n{refusal.fix}", markup=False, highlight=False, soft_wrap=True
        )


def _add_measurements(table: Table, before: Measurement, after: Measurement) -> None:
    table.add_row("load", _ms(before.load), _ms(after.load))
    table.add_row("first call", _ms(before.first), _ms(after.first))
    table.add_row("warm call", _ms(before.warm), _ms(after.warm))
    if before.anonymous is not None and after.anonymous is not None:
        table.add_row("anonymous memory", _mb(before.anonymous), _mb(after.anonymous))


def _agreement(parity: Sequence[OutputParity]) -> str:
    return f"{min((output.agreement for output in parity), default=1.0):.2%}"


def _difference(parity: Sequence[OutputParity]) -> str:
    return f"{max((output.largest_difference for output in parity), default=0.0):.2g}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _mb(size: float) -> str:
    return f"{size / 1e6:.2f} MB"
