"""What `onnx-inference local` prints."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onnx_inference.local.code_deploy.rollout import Rollout
from onnx_inference.local.deployment.template_coverage import RecordedOnly
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.event_sources.event_sources import EventSource
from onnx_inference.local.gateway.http_server import RequestRecord
from onnx_inference.local.lambda_host.function_logs import LogLine
from onnx_inference.local.lambda_host.invocation import InvocationRecord


class Report:
    """Prints tables and lines to a console.

    Args:
        console: Where to print.
        verbose: Print the lines of embedded metrics too.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console = console
        self._verbose = verbose
        #: True prints no lines of requests, invocations and logs, while something else is shown.
        self.quiet = False

    def say(self, text: str, style: str = "") -> None:
        """One line of plain text."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def endpoints(self, endpoints: Iterable[Endpoint], commands: Mapping[str, str]) -> None:
        """The table of what is served.

        Args:
            endpoints: What is served.
            commands: The command of each function, by its ARN.
        """
        table = Table(title="Served", title_justify="left")
        for heading in ("API", "URL", "Auth", "Function", "Command"):
            table.add_column(heading, overflow="fold")
        for endpoint in endpoints:
            names = [f"{f.name}:{f.qualifier}" if f.qualifier else f.name for f in endpoint.functions]
            kind = f"{endpoint.kind}\n({endpoint.note})" if endpoint.note else endpoint.kind
            table.add_row(
                kind,
                f"{endpoint.url}\n{endpoint.aws_url}",
                endpoint.auth,
                "\n".join(names),
                "\n".join(commands.get(str(f), "") for f in endpoint.functions),
            )
        self.console.print(table)
        # Once more as plain lines, because a narrow terminal folds the URLs in the table.
        for endpoint in endpoints:
            self.say(f"{endpoint.kind}: {endpoint.url}", style="bold")

    def event_sources(self, sources: Iterable[EventSource]) -> None:
        """The table of event source mappings and pipes, from queues and streams to functions, topics and buses."""
        table = Table(title="Event sources", title_justify="left")
        for heading in ("From", "To", "Note"):
            table.add_column(heading, overflow="fold")
        for source in sources:
            table.add_row(_short(source.source), _short(source.target), source.note or "")
        if table.row_count:
            self.console.print(table)

    def recorded_only(self, entries: Iterable[RecordedOnly]) -> None:
        """The table of resource types that the twin records and does not run."""
        table = Table(title="Recorded only: deployed, but without effect here", title_justify="left")
        for heading in ("Resource type", "Count", "Here"):
            table.add_column(heading, overflow="fold")
        for entry in entries:
            table.add_row(entry.resource_type, str(entry.count), entry.reason)
        if table.row_count:
            self.console.print(table)

    def rollouts(self, rollouts: Iterable[Rollout]) -> None:
        """A line for each rollout of an alias, and one for each alarm that was not watched."""
        for rollout in rollouts:
            steps = ", ".join(f"{step.percentage} %" for step in rollout.steps)
            hooks = ", ".join(f"{hook.event} {hook.status}" for hook in rollout.hooks) or "no hooks"
            self.say(
                f"{rollout.function}:{rollout.alias} from version {rollout.from_version} to {rollout.to_version}: "
                f"{rollout.result} ({hooks}; traffic {steps or 'not shifted'})"
            )
            for name, reason in rollout.unwatched:
                self.say(f"WARNING: the alarm {name} was not watched: {reason}", style="yellow")

    def outputs(self, outputs: Mapping[str, str]) -> None:
        """The outputs of the stacks."""
        for name, value in outputs.items():
            self.say(f"{name} = {value}")

    def request(self, record: RequestRecord) -> None:
        """One line per answered request."""
        if self.quiet:
            return
        line = (
            f"{record.received_at:%H:%M:%S} {record.method} {record.path} {record.status} {record.duration_ms:.1f} ms"
        )
        self.say(line + _invocation(record.invocation), style="" if record.status < 400 else "yellow")

    def invocation(self, record: InvocationRecord) -> None:
        """One line per invocation that no request made."""
        if not self.quiet:
            name = "ping" if record.kind == "ping" else "invoke"
            self.say(f"{record.started_at:%H:%M:%S} {name} {record.function_name}{_invocation(record)}")

    def log(self, line: LogLine) -> None:
        """One line per line that a function prints; embedded metrics only when verbose."""
        if not self.quiet and (self._verbose or not line.is_metrics):
            self.say(f"  {line.function_name}[{line.function_version}] {line.message}", style="dim")


def _short(arn: str) -> str:
    """An ARN's service and resource."""
    parts = arn.split(":", 5)
    return f"{parts[2]}: {parts[5]}" if len(parts) == 6 else arn


def _invocation(record: InvocationRecord | None) -> str:
    if record is None:
        return ""
    if not record.cold_start:
        start = "warm"
    elif record.restore_duration_ms is not None:
        start = f"cold, restore {record.restore_duration_ms:.0f} ms"
    else:
        start = f"cold, init {record.init_duration_ms or 0.0:.0f} ms"
    status = "" if record.status == "success" else f", {record.status} {record.error_type}"
    return (
        f" | {start}, {record.duration_ms:.1f} ms, {record.max_memory_used_mb}/{record.memory_size_mb} MB, "
        f"version {record.function_version}{status}"
    )
