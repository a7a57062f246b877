"""The report of a load: an HTML page, and the timeline as an SVG."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from onnx_inference.local.lambda_host.environment_records import PING, SNAP_START, EnvironmentRecord
from onnx_inference.local.load.charts import (
    LEGEND,
    latency_chart,
    shown_samples,
    standalone_timeline,
    timeline_chart,
)
from onnx_inference.local.load.live_table import milliseconds
from onnx_inference.local.load.load_test import LoadResult, Sample
from onnx_inference.local.load.summary import Latencies, LoadSummary
from onnx_inference.local.load.timeline import RESTORE, WAITING
from onnx_inference.local.pages import svg
from onnx_inference.local.pages.chart import NARROW, WIDE
from onnx_inference.local.pages.page import file, page

_MOST_SAMPLES = 2_000


def write_report(result: LoadResult, path: Path) -> list[Path]:
    """Write the page, and beside it the timeline as an SVG of its own.

    Args:
        result: The load.
        path: Where the page is written. The picture has the same name with the suffix `.timeline.svg`.

    Returns:
        The files.
    """
    picture = path.with_suffix(".timeline.svg")
    path.write_text(report_page(result), encoding="utf-8")
    picture.write_text(standalone_timeline(result), encoding="utf-8")
    return [path, picture]


def report_page(result: LoadResult) -> str:
    """The page."""
    summary = LoadSummary.of(result)
    content = Template(file(__package__, "report.html")).substitute(
        cards="".join(_cards(summary)),
        latency_note=_latency_note(result),
        latency_wide=latency_chart(result, WIDE),
        latency_narrow=latency_chart(result, NARROW),
        latency_legend=_latency_legend(),
        timeline_note=_timeline_note(summary),
        timeline_wide=timeline_chart(result, WIDE),
        timeline_narrow=timeline_chart(result, NARROW),
        timeline_legend=_timeline_legend(result.environments),
        percentiles=_percentiles(summary),
        environments=_environments(result.environments),
        samples_title=_samples_title(result.samples),
        samples=_samples(result),
    )
    return page(
        f"Load on {', '.join(result.functions)}",
        subtitle=_subtitle(result),
        note=_note(result),
        content=content,
        footer=f"Made by <code>onnx-inference local --load</code> on {result.ended_at:%d %B %Y %H:%M} UTC "
        "of the twin's clock.",
        style=file(__package__, "load.css"),
    )


def _subtitle(result: LoadResult) -> str:
    plan = result.plan
    speed = "" if result.speed == 1 else f" · the clock ran {result.speed:g} times as fast"
    path = escape(f"{result.request.method} /{result.request.path}")
    return f"{plan.rate:g} requests a second for {plan.seconds:g} s · <code>{path}</code>{speed}"


def _note(result: LoadResult) -> str:
    late = ""
    if result.late:
        late = (
            f" <b>{result.late} of {len(result.samples)} requests left more than 0.1 s late: this machine was too busy "
            "to send them in time, and their latency includes that.</b>"
        )
    snapshots = ""
    if any(record.initialization_type == SNAP_START for record in result.environments):
        snapshots = (
            " A restore here needs a process that was initialised ahead, and one is kept. A burst finds no more and "
            "waits for others to be made, which Lambda does not: what a restore itself took is in the column Restore."
        )
    return (
        "Measured on the local twin: when environments are made, kept and reused is what Lambda would do; how long "
        f"each thing takes is this machine's time, not Lambda's.{snapshots}{late}"
    )


def _cards(summary: LoadSummary) -> Iterable[str]:
    failed = sum(summary.failures.values())
    share = 100 * summary.cold.count / summary.requests if summary.requests else 0.0
    yield _card(f"{summary.answered:,}", f"answered of {summary.requests:,}")
    yield _card(f"{summary.rate:.1f}/s", "answers a second")
    yield _card(
        str(summary.cold.count), f"cold starts, {share:.1f} % of requests", "cold" if summary.cold.count else "good"
    )
    yield _card(milliseconds(summary.warm.p50), "warm, half within")
    yield _card(milliseconds(summary.warm.p99), "warm, 99 % within")
    if summary.cold.count:
        yield _card(
            milliseconds(summary.cold.p50), f"cold, half within; longest {milliseconds(summary.cold.longest)}", "cold"
        )
    if summary.waited.count:
        label = "waited for an environment here; on Lambda cold starts, or 429"
        yield _card(str(summary.waited.count), label, "waited")
    yield _card(str(summary.peak_environments), f"environments at most, {summary.peak_busy} busy at once")
    if summary.provisioned:
        yield _card(str(summary.provisioned), f"provisioned; {summary.spillovers} requests spilled over", "good")
    if summary.pings:
        yield _card(str(summary.pings), "pings of the warmer")
    yield _card(str(summary.throttles), "throttled", "bad" if summary.throttles else "")
    kinds = ", ".join(f"{count} with {status or 'no answer'}" for status, count in sorted(summary.failures.items()))
    yield _card(str(failed), kinds or "failed", "bad" if failed else "")


def _card(value: str, label: str, kind: str = "") -> str:
    return f'<div class="card {kind}"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def _latency_note(result: LoadResult) -> str:
    drawn = len(shown_samples(result.samples))
    thinned = (
        ""
        if drawn == len(result.samples)
        else f" {drawn} of {len(result.samples)} are drawn, all cold ones among them."
    )
    return (
        "From when a request was to be sent until its whole answer was there, so that waiting in a queue counts. "
        f"Logarithmic.{thinned}"
    )


def _timeline_note(summary: LoadSummary) -> str:
    if not summary.provisioned:
        return "One row for each environment. A bar at the end of a row is the end of the environment."
    return "One row for each environment; provisioned ones are green. A bar at the end of a row is its end."


def _latency_legend() -> str:
    shapes = (
        (svg.element("circle", cx=7, cy=6, r=3, class_="warm-dot"), "warm"),
        (svg.element("path", d="M7 0l6 6l-6 6l-6 -6z", class_="cold-dot"), "met a cold start"),
        (svg.element("circle", cx=7, cy=6, r=3, class_="waited-dot"), "waited for an environment to come free"),
        (svg.element("path", d="M3 2l8 8m0 -8l-8 8", class_="failed-dot"), "failed"),
    )
    return "".join(_legend_entry(shape, label) for shape, label in shapes)


def _timeline_legend(environments: Sequence[EnvironmentRecord]) -> str:
    snapshots = any(record.initialization_type == SNAP_START for record in environments)
    entries = [entry for entry in LEGEND if snapshots or entry[0] not in (RESTORE, WAITING)]
    return "".join(
        _legend_entry(svg.element("rect", y=1, width=14, height=10, class_=f"bar {kind}"), label)
        for kind, label in entries
    )


def _legend_entry(shape: str, label: str) -> str:
    picture = svg.element("svg", shape, width=14, height=12, viewBox="0 0 14 12", aria_hidden="true")
    return f"<li>{picture}{escape(label)}</li>"


def _percentiles(summary: LoadSummary) -> str:
    def row(name: str, values: Latencies) -> list[str]:
        return [name, str(values.count), *map(milliseconds, (values.p50, values.p90, values.p99, values.longest))]

    return _table(
        ["Requests", "Answered", "p50", "p90", "p99", "longest"],
        [(row("warm", summary.warm), ""), (row("cold", summary.cold), ""), (row("waited", summary.waited), "")],
        texts=1,
    )


def _environments(environments: Sequence[EnvironmentRecord]) -> str:
    rows = []
    for number, record in enumerate(sorted(environments, key=lambda record: record.created_at), 1):
        pings = sum(span.kind == PING for span in record.busy)
        state = record.state if record.end_cause is None else f"ended: {record.end_cause}"
        cells = [
            str(number),
            record.id[:8],
            record.initialization_type,
            state,
            record.function_version,
            f"{record.created_at:%H:%M:%S}",
            milliseconds(record.init_duration_ms),
            milliseconds(record.restore_duration_ms),
            str(len(record.busy) - pings),
            str(pings),
            "yes" if record.cold_starts else "no",
        ]
        rows.append((cells, "is-cold" if record.cold_starts else ""))
    headings = ["Row", "Environment", "Type", "State", "Version", "Made at", "Init", "Restore"]
    return _table([*headings, "Requests", "Pings", "Cold start"], rows, texts=4)


def _samples_title(samples: Sequence[Sample]) -> str:
    most = "" if len(samples) <= _MOST_SAMPLES else f" (the first {_MOST_SAMPLES:,} of {len(samples):,})"
    return f"Every request{most}"


def _samples(result: LoadResult) -> str:
    rows = []
    for sample in result.samples[:_MOST_SAMPLES]:
        invocation = sample.invocation
        cells = [
            str(sample.number + 1),
            f"{(sample.at - result.started_at).total_seconds():.2f} s",
            str(sample.status) if sample.status else sample.error,
            milliseconds(sample.latency_ms),
            "" if invocation is None else milliseconds(invocation.queued_ms),
            "" if invocation is None else milliseconds(invocation.init_duration_ms or invocation.restore_duration_ms),
            "" if invocation is None else milliseconds(invocation.duration_ms),
            "" if invocation is None else invocation.log_stream[-32:][:8],
        ]
        rows.append((cells, "is-failed" if not sample.succeeded else "is-cold" if sample.cold else ""))
    return _table(["Request", "At", "Status", "Latency", "Waited", "Init", "Handler", "Environment"], rows, texts=0)


def _table(headings: Sequence[str], rows: Iterable[tuple[Sequence[str], str]], *, texts: int) -> str:
    """A table. The first `texts` columns are text, the others numbers; each row has a CSS class."""

    def cells(tag: str, values: Sequence[str]) -> str:
        kinds = [' class="text"' if number < texts else "" for number in range(len(values))]
        return "".join(f"<{tag}{kind}>{escape(value)}</{tag}>" for kind, value in zip(kinds, values, strict=True))

    head = f"<thead><tr>{cells('th', headings)}</tr></thead>"
    body = "".join(f"<tr{f' class={kind}' if kind else ''}>{cells('td', values)}</tr>" for values, kind in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"
