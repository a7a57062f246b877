"""The metrics of what this library makes."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch

from cdk_onnx_inference.api._published_api import PublishedApi
from cdk_onnx_inference.functions._live_function import LiveFunction
from cdk_onnx_inference.models.model_file_system import ModelFileSystem

PHASES = ("Decode", "Preprocess", "Validate", "Predict", "Postprocess", "Encode")
"""The phases of an inference that the handler measures, in their order."""

_PERIOD = Duration.minutes(5)


class FunctionMetrics:
    """Metrics of a function's alias.

    Lambda publishes some of them. The others (cold starts, the duration of starts, the phases of an inference) the
    handler embeds in its log, from which CloudWatch extracts them. Each of these is billed as a custom metric while it
    has values: $0.30 a month in September 2026.

    Args:
        function: The function.
        period: The time that one value covers. Default: 5 minutes.

    Attributes:
        models: Names of the models that the function serves.
    """

    def __init__(self, function: LiveFunction, *, period: Duration = _PERIOD) -> None:
        self._function = function
        self._period = period
        self._namespace = function._service.metrics_namespace
        self.models = list(dict.fromkeys(model.name for model in function._service.models))

    def invocations(self) -> cloudwatch.Metric:
        """Invocations, including failed ones, but not throttled ones."""
        return self._lambda("Invocations", "Sum", "Invocations")

    def errors(self) -> cloudwatch.Metric:
        """Invocations that failed: timeouts, crashes and exceptions, but not responses of 4xx and 5xx."""
        return self._lambda("Errors", "Sum", "Errors")

    def error_rate(self) -> cloudwatch.MathExpression:
        """Percent of invocations that failed."""
        return _percent(
            "errors", self.errors(), "invocations", self.invocations(), "Errors, % of invocations", self._period
        )

    def throttles(self) -> cloudwatch.Metric:
        """Invocations that Lambda refused because no concurrency was left."""
        return self._lambda("Throttles", "Sum", "Throttles")

    def duration(self, statistic: str) -> cloudwatch.Metric:
        """Milliseconds of an invocation, without the cold start."""
        return self._lambda("Duration", statistic, f"Duration {statistic}")

    def concurrent_executions(self) -> cloudwatch.Metric:
        """The most environments that ran at once."""
        return self._lambda("ConcurrentExecutions", "Maximum", "Concurrent executions")

    def provisioned_utilization(self) -> cloudwatch.Metric:
        """Share of the provisioned environments that were busy, 0 to 1. No value while nothing runs."""
        return self._lambda("ProvisionedConcurrencyUtilization", "Maximum", "Provisioned concurrency, utilization")

    def provisioned_spillover(self) -> cloudwatch.Metric:
        """Invocations that found no provisioned environment free, and were served by one on demand."""
        return self._lambda("ProvisionedConcurrencySpilloverInvocations", "Sum", "Spillover invocations")

    def cold_starts(self) -> cloudwatch.Metric:
        """Requests that met a cold start."""
        return self._embedded("ColdStart", "Sum", "Cold starts")

    def cold_start_share(self) -> cloudwatch.MathExpression:
        """Percent of invocations that met a cold start."""
        return _percent(
            "cold",
            self.cold_starts(),
            "invocations",
            self.invocations(),
            "Cold starts, % of invocations",
            self._period,
        )

    def init_duration(self, statistic: str) -> cloudwatch.Metric:
        """Milliseconds from the start of an environment's process until its handler was ready."""
        return self._embedded("InitDuration", statistic, f"Start {statistic}")

    def model_load(self, model: str, statistic: str) -> cloudwatch.Metric:
        """Milliseconds that a model took to load."""
        return self._embedded("ModelLoad", statistic, f"{model}: load {statistic}", {"ModelName": model})

    def phase(self, model: str, phase: str, statistic: str = "Average") -> cloudwatch.Metric:
        """Milliseconds of a phase of an inference.

        Args:
            model: The model's name.
            phase: One of `PHASES`.
            statistic: Default: the average, because averages of the phases add up to that of the whole.
        """
        return self._embedded(phase, statistic, phase, {"ModelName": model})

    def _lambda(self, name: str, statistic: str, label: str) -> cloudwatch.Metric:
        return self._function.metric(name, statistic=statistic, period=self._period, label=label)

    def _embedded(
        self, name: str, statistic: str, label: str, dimensions: Mapping[str, str] | None = None
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=self._namespace,
            metric_name=name,
            dimensions_map={"FunctionName": self._function.function.function_name, **(dimensions or {})},
            statistic=statistic,
            period=self._period,
            label=label,
        )


class ApiMetrics:
    """Metrics of an API.

    Args:
        api: An `InferenceApi` or a `JobApi`.
        period: The time that one value covers. Default: 5 minutes.
    """

    def __init__(self, api: PublishedApi, *, period: Duration = _PERIOD) -> None:
        self._api = api
        self._period = period
        self._http = isinstance(api.api, apigatewayv2.HttpApi)

    def requests(self) -> cloudwatch.Metric:
        """Requests."""
        return self._metric("Count", "SampleCount", "Requests")

    def client_errors(self) -> cloudwatch.Metric:
        """Responses of 4xx, including those of the API itself."""
        return self._metric("4xx" if self._http else "4XXError", "Sum", "4xx")

    def server_errors(self) -> cloudwatch.Metric:
        """Responses of 5xx, including those of the API itself."""
        return self._metric("5xx" if self._http else "5XXError", "Sum", "5xx")

    def server_error_rate(self) -> cloudwatch.MathExpression:
        """Percent of requests that were answered with 5xx."""
        return _percent("failed", self.server_errors(), "requests", self.requests(), "5xx, % of requests", self._period)

    def latency(self, statistic: str) -> cloudwatch.Metric:
        """Milliseconds from a request to its response, including cold starts."""
        return self._metric("Latency", statistic, f"Latency {statistic}")

    def _metric(self, name: str, statistic: str, label: str) -> cloudwatch.Metric:
        api, stage = self._api.api, self._api.stage
        dimensions = (
            {"ApiId": api.api_id, "Stage": stage.stage_name}
            if isinstance(api, apigatewayv2.HttpApi)
            else {"ApiName": api.rest_api_name, "Stage": stage.stage_name}
        )
        return cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=self._period,
            label=label,
        )


class FileSystemMetrics:
    """Metrics of an EFS file system with models.

    Args:
        file_system: The file system.
        period: The time that one value covers. Default: 5 minutes.
    """

    def __init__(self, file_system: ModelFileSystem, *, period: Duration = _PERIOD) -> None:
        self._id = file_system.file_system.file_system_id
        self._period = period

    def read_throughput(self) -> cloudwatch.MathExpression:
        """Bytes a second that functions read."""
        return cloudwatch.MathExpression(
            expression="read / PERIOD(read)",
            using_metrics={"read": self._metric("DataReadIOBytes", "Sum", "Read")},
            label="Read, bytes a second",
            period=self._period,
        )

    def io_limit(self) -> cloudwatch.Metric:
        """Percent of the file system's I/O limit that is used."""
        return self._metric("PercentIOLimit", "Maximum", "I/O limit, %")

    def connections(self) -> cloudwatch.Metric:
        """Environments that have the file system mounted."""
        return self._metric("ClientConnections", "Sum", "Connections")

    def _metric(self, name: str, statistic: str, label: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/EFS",
            metric_name=name,
            dimensions_map={"FileSystemId": self._id},
            statistic=statistic,
            period=self._period,
            label=label,
        )


def _percent(
    part_id: str, part: cloudwatch.IMetric, whole_id: str, whole: cloudwatch.IMetric, label: str, period: Duration
) -> cloudwatch.MathExpression:
    """A share in percent. It is 0 if the part has no value, and has no value if the whole has none."""
    return cloudwatch.MathExpression(
        expression=f"100 * FILL({part_id}, 0) / {whole_id}",
        using_metrics={part_id: part, whole_id: whole},
        label=label,
        period=period,
    )
