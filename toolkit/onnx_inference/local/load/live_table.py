"""What the terminal shows while a load runs: its numbers, and a table of environments."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from onnx_inference.local.lambda_host.environment_records import PING, PROVISIONED, EnvironmentRecord
from onnx_inference.local.load.load_test import Sample
from onnx_inference.local.load.summary import Latencies

_ROWS = 24
_STYLES = {"busy": "bold blue", "idle": "green", "initialising": "yellow", "snapshot": "magenta", "ended": "dim"}


def live_table(
    environments: Sequence[EnvironmentRecord], samples: Sequence[Sample], planned: int, throttles: int
) -> Group:
    """The table at this moment.

    Args:
        environments: The environments there are and were.
        samples: The answers so far.
        planned: How many requests there will be.
        throttles: How many invocations were refused.
    """
    states = Counter(record.state for record in environments)
    provisioned = sum(r.initialization_type == PROVISIONED and r.ended_at is None for r in environments)
    cold = Latencies.of(sample for sample in samples if sample.cold)
    warm = Latencies.of(sample for sample in samples if not sample.cold and not sample.waited)
    waited = sum(sample.waited for sample in samples)
    failed = sum(not sample.succeeded for sample in samples)
    head = Text.assemble(
        (f"{len(samples)}/{planned} answered", "bold"),
        f"  busy {states['busy']}  idle {states['idle']}  starting {states['initialising']}  "
        f"provisioned {provisioned}  ended {states['ended']}\n",
        (f"cold {cold.count}: p50 {milliseconds(cold.p50)}, p99 {milliseconds(cold.p99)}", "yellow"),
        f"   warm {warm.count}: p50 {milliseconds(warm.p50)}, p99 {milliseconds(warm.p99)}   ",
        (f"throttled {throttles}, failed {failed}", "red" if throttles or failed else "dim"),
        (f", waited for an environment {waited}", "yellow") if waited else "",
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("Environment", "Version", "Type", "State", "Init", "Requests", "Pings", "Cold"):
        table.add_column(heading, no_wrap=True)
    shown = sorted(environments, key=lambda record: record.ended_at is not None)[:_ROWS]
    for record in shown:
        pings = sum(span.kind == PING for span in record.busy)
        state = record.state if record.end_cause is None else f"ended: {record.end_cause}"
        start = record.restore_duration_ms if record.restore_duration_ms is not None else record.init_duration_ms
        table.add_row(
            record.id[:8],
            record.function_version,
            record.initialization_type,
            Text(state, style=_STYLES[record.state]),
            milliseconds(start),
            str(len(record.busy) - pings),
            str(pings),
            "*" * record.cold_starts,
        )
    if len(environments) > len(shown):
        return Group(head, table, Text(f"and {len(environments) - len(shown)} more", style="dim"))
    return Group(head, table)


def milliseconds(value: float | None) -> str:
    """A duration as people read it: `12.3 ms`, `1.25 s`, or a dash for none."""
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"
