"""The report of a run, as Markdown for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .rounds import Figure, Result

EXPLANATION = (
    "Each value is the median over the rounds of one run, in which everybody took turns. *Middle half*: half of the "
    "rounds were within this range. *95 %*: the confidence interval of the median; a goal is met or missed where all "
    "of it is on one side. A ratio below 1 is in favour of this project. How to read the rest: "
    "[benchmarks/README.md](../README.md)."
)


def lines(result: Result) -> str:
    """The figures of one result, a line each, for a terminal."""
    told = []
    for figure in result.figures:
        first, third = (shown(value, "") for value in figure.quartiles)
        goal = "" if figure.goal is None else f", goal {figure.goal:g}{figure.unit}: {figure.verdict}"
        value = shown(figure.median, figure.unit)
        told.append(f"  {figure.what} / {figure.baseline}: {value} ({first} to {third}){goal}")
    return "\n".join(told)


def markdown(results: Sequence[Result], date: str, machine: Mapping[str, str], picture: str | None = None) -> str:
    """The report. Its first table has the figures of all results.

    Args:
        results: What the benchmarks found.
        date: Of the run.
        machine: What the run ran on, by name.
        picture: File name of the picture beside the report. Default: there is none.
    """
    written = [
        f"# Benchmarks, {date}",
        "",
        *([f"![The figures as bars]({picture})", ""] if picture else []),
        EXPLANATION,
        "",
        *_table(
            ("what", "baseline", "value", "middle half", "95 %", "rounds", "goal", ""),
            [_row(figure) for result in results for figure in result.figures],
        ),
    ]
    for result in results:
        written += [
            "",
            f"## {result.title}",
            "",
            *_table(
                ("who", f"median, {result.unit}", "middle half"),
                [_sample_row(name, values) for name, values in result.samples.items()],
            ),
        ]
        for table in result.tables:
            written += ["", f"{table.title}:", "", *_table(table.columns, table.rows)]
    written += ["", "## The machine", "", *_table(("", ""), list(machine.items())), ""]
    return "\n".join(written)


def document(results: Sequence[Result], date: str, machine: Mapping[str, str]) -> dict[str, Any]:
    """Everything, each round's samples included."""
    return {
        "date": date,
        "machine": dict(machine),
        "results": [
            {
                "name": result.name,
                "title": result.title,
                "unit": result.unit,
                "figures": [
                    {
                        "what": figure.what,
                        "baseline": figure.baseline,
                        "unit": figure.unit.strip(),
                        "median": round(figure.median, 4),
                        "quartiles": [round(value, 4) for value in figure.quartiles],
                        "interval": [round(value, 4) for value in figure.interval],
                        "goal": figure.goal,
                        "verdict": figure.verdict,
                    }
                    for figure in result.figures
                ],
                "tables": [
                    {"title": table.title, "columns": table.columns, "rows": table.rows} for table in result.tables
                ],
                "samples": {name: [round(value, 2) for value in values] for name, values in result.samples.items()},
            }
            for result in results
        ],
    }


def shown(value: float, unit: str) -> str:
    """A value in its unit with one decimal; a ratio with three."""
    return f"{value:.1f}{unit}" if unit else f"{value:.3f}"


def _row(figure: Figure) -> tuple[str, ...]:
    (first, third), (low, high) = figure.quartiles, figure.interval
    unit = figure.unit
    return (
        figure.what,
        figure.baseline,
        f"**{shown(figure.median, unit)}**",
        f"{shown(first, '') if not unit else f'{first:.1f}'} to {shown(third, unit)}",
        f"{shown(low, '') if not unit else f'{low:.1f}'} to {shown(high, unit)}",
        str(len(figure.values)),
        "" if figure.goal is None else f"≤ {figure.goal:g}{unit}",
        figure.verdict,
    )


def _sample_row(name: str, values: list[float]) -> tuple[str, ...]:
    sample = Figure(name, "", values)
    first, third = sample.quartiles
    return name, f"{sample.median:.1f}", f"{first:.1f} to {third:.1f}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
