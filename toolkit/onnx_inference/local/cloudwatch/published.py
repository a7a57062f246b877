"""The values that AWS would publish to CloudWatch, computed from the twin's own records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from onnx_inference.local.cloudwatch.observations import Metric, Observation
from onnx_inference.local.lambda_host.environment_records import PROVISIONED, EnvironmentRecord, Throttle
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.function_logs import MetricDatum
from onnx_inference.local.lambda_host.host import UtilizationSample
from onnx_inference.local.lambda_host.invocation import InvocationRecord

LAMBDA, API_GATEWAY, SQS = "AWS/Lambda", "AWS/ApiGateway", "AWS/SQS"

#: The metrics of AWS's own namespaces that are computed here. Metrics of other namespaces are in functions' logs.
MADE_HERE = {
    LAMBDA: (
        "Invocations",
        "Errors",
        "Throttles",
        "Duration",
        "ConcurrentExecutions",
        "ProvisionedConcurrencyInvocations",
        "ProvisionedConcurrencySpilloverInvocations",
        "ProvisionedConcurrencyUtilization",
    ),
    API_GATEWAY: ("Count", "4xx", "5xx", "4XXError", "5XXError", "Latency"),
    SQS: ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"),
}


@dataclass(frozen=True)
class ApiRequest:
    """One answered request in CloudWatch's terms; `at` is the twin clock's time."""

    dimensions: tuple[tuple[str, str], ...]
    at: float
    status: int
    duration_ms: float


@dataclass(frozen=True)
class QueueSample:
    """A queue at one moment of the twin's clock; `oldest_seconds` is None when it is empty."""

    queue: str
    at: float
    visible: int
    oldest_seconds: float | None


def is_made_here(metric: Metric) -> bool:
    """Whether the twin could have values of this metric."""
    if not metric.namespace.startswith("AWS/"):
        return True
    return metric.name in MADE_HERE.get(metric.namespace, ())


def of_invocations(
    records: Iterable[InvocationRecord], environments: Iterable[EnvironmentRecord], speed: float
) -> Iterator[Observation]:
    """Lambda's metrics of each invocation, by function, alias and version.

    Args:
        records: The invocations.
        environments: The environments of the same functions, to tell which were provisioned.
        speed: The speed of the twin's clock.
    """
    provisioned = {e.log_stream for e in environments if e.initialization_type == PROVISIONED}
    spans: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for record in records:
        began = record.started_at.timestamp() + record.queued_ms / 1000 * speed
        taken = record.duration_ms + (record.init_duration_ms or 0.0) + (record.restore_duration_ms or 0.0)
        values = {
            "Invocations": 1.0,
            "Errors": 0.0 if record.status == "success" else 1.0,
            "Throttles": 0.0,
            "Duration": record.duration_ms,
        }
        if record.log_stream in provisioned:
            values["ProvisionedConcurrencyInvocations"] = 1.0
            values["ProvisionedConcurrencySpilloverInvocations"] = 0.0
        elif record.spillover:
            values["ProvisionedConcurrencySpilloverInvocations"] = 1.0
        for dimensions in lambda_dimensions(record):
            spans.setdefault(dimensions, []).append((began, began + taken / 1000 * speed))
            for name, value in values.items():
                yield Observation(Metric(LAMBDA, name, dimensions), began, value)
    for dimensions, of_these in spans.items():
        for at, running in _running_at_once(of_these):
            yield Observation(Metric(LAMBDA, "ConcurrentExecutions", dimensions), at, float(running))


def lambda_dimensions(record: InvocationRecord) -> list[frozenset[tuple[str, str]]]:
    """The sets of dimensions under which Lambda publishes the metrics of an invocation."""
    name, qualifier = record.function_name, FunctionArn.parse(record.invoked_function_arn).qualifier
    resource = ("Resource", name if qualifier is None else f"{name}:{qualifier}")
    function = ("FunctionName", name)
    found = [frozenset({function}), frozenset({function, resource})]
    if qualifier is not None and qualifier != record.function_version:
        found.append(frozenset({function, resource, ("ExecutedVersion", record.function_version)}))
    return found


def of_throttles(throttles: Iterable[Throttle]) -> Iterator[Observation]:
    """Lambda's throttles, by function and alias. They have no version, because none was chosen yet."""
    for throttle in throttles:
        name = throttle.function_name
        resource = name if throttle.qualifier is None else f"{name}:{throttle.qualifier}"
        for dimensions in ([("FunctionName", name)], [("FunctionName", name), ("Resource", resource)]):
            yield Observation(Metric.of(LAMBDA, "Throttles", dimensions), throttle.at.timestamp(), 1.0)


def of_utilization(samples: Iterable[UtilizationSample]) -> Iterator[Observation]:
    """The share of the provisioned concurrency that was in use."""
    for sample in samples:
        arn = FunctionArn.parse(sample.arn)
        dimensions = [("FunctionName", arn.name), ("Resource", f"{arn.name}:{arn.qualifier}")]
        yield Observation(
            Metric.of(LAMBDA, "ProvisionedConcurrencyUtilization", dimensions), sample.at, sample.utilization
        )


def of_requests(requests: Iterable[ApiRequest]) -> Iterator[Observation]:
    """API Gateway's metrics of each request, with the names that HTTP APIs and REST APIs have for errors."""
    for request in requests:
        client, server = float(400 <= request.status < 500), float(request.status >= 500)
        values = {"Count": 1.0, "Latency": request.duration_ms}
        values |= {"4xx": client, "5xx": server, "4XXError": client, "5XXError": server}
        for name, value in values.items():
            yield Observation(Metric.of(API_GATEWAY, name, request.dimensions), request.at, value)


def of_embedded(data: Iterable[MetricDatum]) -> Iterator[Observation]:
    """The metrics that functions embed in their logs."""
    for datum in data:
        metric = Metric.of(datum.namespace, datum.name, datum.dimensions)
        for value in datum.values:
            yield Observation(metric, datum.at, value)


def of_queues(samples: Iterable[QueueSample]) -> Iterator[Observation]:
    """SQS's metrics, from samples of the queues."""
    for sample in samples:
        dimensions = [("QueueName", sample.queue)]
        yield Observation(
            Metric.of(SQS, "ApproximateNumberOfMessagesVisible", dimensions), sample.at, float(sample.visible)
        )
        age = Metric.of(SQS, "ApproximateAgeOfOldestMessage", dimensions)
        yield Observation(age, sample.at, sample.oldest_seconds or 0.0)


def _running_at_once(spans: list[tuple[float, float]]) -> Iterator[tuple[float, int]]:
    """How many invocations ran at once, each time that one began."""
    running = 0
    for at, change in sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans]):
        running += change
        if change > 0:
            yield at, running
