"""`onnx-inference local --load`: makes the load, shows it in the terminal, and writes its report."""

import re
from pathlib import Path

import click
from rich.live import Live

from onnx_inference.local.dashboard.page import write_dashboards
from onnx_inference.local.load.live_table import live_table, milliseconds
from onnx_inference.local.load.load_test import LoadError, LoadPlan, LoadResult, LoadTest
from onnx_inference.local.load.report_page import write_report
from onnx_inference.local.load.request_body import LoadRequest
from onnx_inference.local.load.summary import LoadSummary
from onnx_inference.local.report import Report
from onnx_inference.local.twin import LocalTwin

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def rate(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Read requests per second: `20rps`, `20/s` or `0.5`."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:rps|/s)?", value)
    if not found or not 0 < float(found[1]) <= 1000:
        raise click.BadParameter(f"{value!r} is no rate. Give requests per second up to 1000, like 20rps.")
    return float(found[1])


def duration(_context: click.Context, _option: click.Parameter, value: str) -> float:
    """Read seconds, minutes or hours: `60s`, `5m`, `1h`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", value)
    if not found or float(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no time. Give seconds, minutes or hours, like 60s or 5m.")
    return float(found[1]) * _UNITS[found[2]]


def run_load(
    twin: LocalTwin,
    report: Report,
    plan: LoadPlan,
    request: LoadRequest | None,
    path: Path | None,
    dashboard: Path | None = None,
) -> None:
    """Make the load, show it, and write its report.

    Args:
        twin: The twin, with something deployed.
        report: Where to print.
        plan: The rate and the duration.
        request: The request to send; None makes one from the model's metadata.
        path: Where to write the report; None writes none.
        dashboard: Where to draw the deployed dashboards; None draws none.

    Raises:
        LoadError: No dashboard is deployed that could be drawn, or as `LocalTwin.load`.
    """
    dashboards = [] if dashboard is None else twin.dashboards()
    if dashboard is not None and not dashboards:
        raise LoadError("No dashboard is deployed: --dashboard draws those of InferenceMonitoring, or your own.")
    report.say(f"Sending {plan.rate:g} requests a second for {plan.seconds:g} s ...")
    report.quiet = True
    with Live(console=report.console, refresh_per_second=4, transient=True) as live:

        def show(test: LoadTest) -> None:
            names = {function.name for endpoint in twin.endpoints()[:1] for function in endpoint.functions}
            environments = [record for name in sorted(names) for record in twin.environments(name)]
            throttles = sum(len(twin.throttles(name)) for name in names)
            live.update(live_table(environments, test.collected(), plan.count, throttles))

        result = twin.load(plan, request=request, on_progress=show)
    report.console.print(live_table(result.environments, result.samples, plan.count, len(result.throttles)))
    report.quiet = False
    _conclude(report, result)
    if path is not None:
        for written in write_report(result, path):
            report.say(f"Written: {written}")
    if dashboard is not None:
        write_dashboards(
            dashboards,
            twin.observations(result.started_at.timestamp()),
            result.started_at,
            twin.clock.now(),
            dashboard,
            speed=twin.clock.speed,
        )
        report.say(f"Written: {dashboard}")


def _conclude(report: Report, result: LoadResult) -> None:
    summary = LoadSummary.of(result)
    report.say(
        f"{summary.answered} of {summary.requests} answered, {summary.rate:.1f} a second; {summary.cold.count} cold "
        f"starts; warm p50 {milliseconds(summary.warm.p50)}, p99 {milliseconds(summary.warm.p99)}; "
        f"at most {summary.peak_environments} environments, {summary.peak_busy} busy at once.",
        style="bold",
    )
    if summary.waited.count:
        report.say(
            f"{summary.waited.count} requests waited for an environment: this machine makes no more "
            "(--max-environments). On Lambda each would have been a cold start, or a 429.",
            style="yellow",
        )
    if result.late:
        report.say(f"WARNING: {result.late} requests left late: this machine was too busy to send them.", "bold red")
