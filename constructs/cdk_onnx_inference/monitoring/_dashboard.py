"""The widgets of a service's dashboard, in rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from cdk_onnx_inference.api._published_api import PublishedApi
from cdk_onnx_inference.cold_start.cold_start import Provisioned
from cdk_onnx_inference.functions._live_function import LiveFunction
from cdk_onnx_inference.jobs.async_inference import AsyncInference

from .inference_metrics import PHASES, ApiMetrics, FileSystemMetrics, FunctionMetrics

Row = Sequence[cloudwatch.IWidget]
Graph = Callable[[int], cloudwatch.GraphWidget]

_COLUMNS = 24
_HEIGHT = 6


def heading(text: str) -> Row:
    """A heading above the rows that follow."""
    return [cloudwatch.TextWidget(markdown=f"## {text}", width=_COLUMNS, height=1)]


def of_function(function: LiveFunction) -> list[Row]:
    """Traffic, durations and starts of a function, and the phases of its models."""
    metrics = FunctionMetrics(function)
    rows: list[Row] = [
        _row(
            graph("Invocations", [metrics.invocations()], right=[metrics.errors(), metrics.throttles()]),
            graph(
                "Duration, ms",
                [metrics.duration("p50"), metrics.duration("p99")],
                limit=_milliseconds("Timeout", function.timeout),
            ),
            graph("Environments running at once", [metrics.concurrent_executions()]),
        ),
        _row(
            graph("Cold starts, % of invocations", [metrics.cold_start_share()], right=[metrics.cold_starts()]),
            graph("Start of an environment, ms", [metrics.init_duration("p50"), metrics.init_duration("p99")]),
            graph("Loading a model, ms", [metrics.model_load(model, "p99") for model in metrics.models]),
        ),
    ]
    if isinstance(function.cold_start, Provisioned):
        rows.append(
            _row(
                graph("Provisioned concurrency, share in use", [metrics.provisioned_utilization()]),
                graph("Spillover into cold starts", [metrics.provisioned_spillover()]),
            )
        )
    rows += [
        _row(
            graph(
                f"{model}: phases of an inference, ms", [metrics.phase(model, phase) for phase in PHASES], stacked=True
            )
        )
        for model in metrics.models
    ]
    return rows


def of_worker(function: LiveFunction) -> list[Row]:
    """Traffic and durations of the worker of jobs."""
    metrics = FunctionMetrics(function)
    return [
        _row(
            graph("Batches", [metrics.invocations()], right=[metrics.errors(), metrics.throttles()]),
            graph(
                "Duration, ms",
                [metrics.duration("p50"), metrics.duration("p99")],
                limit=_milliseconds("Timeout", function.timeout),
            ),
            graph("Workers at once", [metrics.concurrent_executions()]),
        )
    ]


def of_api(api: PublishedApi) -> list[Row]:
    """Requests to an API, and its answers."""
    metrics = ApiMetrics(api)
    return [
        _row(
            graph("Requests", [metrics.requests()]),
            graph("Answers of 4xx and 5xx", [metrics.client_errors(), metrics.server_errors()]),
            graph(
                "Latency, ms",
                [metrics.latency("p50"), metrics.latency("p99")],
                limit=_milliseconds("The API gives up", api._integration_timeout),
            ),
        )
    ]


def of_jobs(jobs: AsyncInference) -> list[Row]:
    """Jobs that are waiting, and jobs that have ended."""
    return [
        _row(
            graph("Jobs that wait", [jobs.metric_queue_depth()]),
            graph(
                "Age of the oldest, seconds",
                [jobs.metric_queue_age()],
                limit=("Deadline", jobs.job_timeout.to_seconds()),
            ),
            graph(
                "Dead letters; parked jobs",
                [jobs.metric_dead_letter_queue_depth(), jobs.metric_parked_queue_depth()],
            ),
        ),
        _row(
            graph(
                "Jobs by status",
                [jobs.metric_jobs_succeeded(), jobs.metric_jobs_failed(), jobs.metric_jobs_expired()],
            ),
            graph(
                "From submission to end, ms",
                [jobs.metric_job_latency(statistic="p50"), jobs.metric_job_latency(statistic="p99")],
            ),
        ),
    ]


def of_file_system(metrics: FileSystemMetrics) -> list[Row]:
    """What functions read from a file system."""
    return [
        _row(
            graph("Read, bytes a second", [metrics.read_throughput()]),
            graph("I/O limit, %", [metrics.io_limit()]),
            graph("Environments connected", [metrics.connections()]),
        )
    ]


def graph(
    title: str,
    left: Sequence[cloudwatch.IMetric],
    *,
    right: Sequence[cloudwatch.IMetric] = (),
    stacked: bool = False,
    limit: tuple[str, float] | None = None,
) -> Graph:
    """A graph with axes that begin at 0. Its width is the argument of the function that is returned.

    Args:
        title: Its title, with the unit.
        left: Metrics of the left axis.
        right: Metrics of the right axis.
        stacked: Whether areas are stacked.
        limit: Name and value of a horizontal line on the left axis.
    """
    return lambda width: cloudwatch.GraphWidget(
        title=title,
        left=[*left],
        right=[*right],
        stacked=stacked,
        left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        left_annotations=[cloudwatch.HorizontalAnnotation(label=limit[0], value=limit[1])] if limit else [],
        width=width,
        height=_HEIGHT,
    )


def _row(*graphs: Graph) -> Row:
    """Graphs that share the whole width."""
    return [graph(_COLUMNS // len(graphs)) for graph in graphs]


def _milliseconds(name: str, value: Duration) -> tuple[str, float] | None:
    """A limit, unless its value is known only at deployment."""
    return None if value.is_unresolved() else (name, value.to_milliseconds())
