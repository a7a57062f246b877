"""The values of all metrics, made of the twin's records when somebody asks."""

from collections import deque

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloudwatch import published
from onnx_inference.local.cloudwatch.observations import Observations
from onnx_inference.local.cloudwatch.published import ApiRequest
from onnx_inference.local.cloudwatch.queue_sampler import QueueSampler
from onnx_inference.local.gateway.http_server import RequestRecord
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.host import LambdaHost

_KEPT_REQUESTS = 20_000


class Metrics:
    """What AWS would have published to CloudWatch.

    Args:
        host: Has the records of invocations, environments, throttles and utilization.
        logs: Has the metrics that functions embed in their logs.
        queues: Has the samples of queues.
        clock: The twin's clock.
    """

    def __init__(self, host: LambdaHost, logs: FunctionLogs, queues: QueueSampler, clock: Clock) -> None:
        self._host = host
        self._logs = logs
        self._queues = queues
        self._clock = clock
        self._requests: deque[ApiRequest] = deque(maxlen=_KEPT_REQUESTS)

    def requested(self, record: RequestRecord) -> None:
        """Take the record of an answered request."""
        if record.dimensions:
            at = self._clock.time() - record.duration_ms / 1000 * self._clock.speed
            self._requests.append(ApiRequest(record.dimensions, at, record.status, record.duration_ms))

    def observations(self, since: float = 0.0) -> Observations:
        """The values there are.

        Args:
            since: The earliest time on the twin's clock, in seconds since 1970. Default: all that is kept.
        """
        records = [record for record in self._host.records() if record.started_at.timestamp() >= since]
        return Observations(
            [
                *published.of_invocations(records, self._host.environment_records(), self._clock.speed),
                *published.of_throttles(t for t in self._host.throttles() if t.at.timestamp() >= since),
                *published.of_utilization(self._host.utilization(since=since)),
                *published.of_requests(request for request in list(self._requests) if request.at >= since),
                *published.of_embedded(datum for datum in self._logs.metrics() if datum.at >= since),
                *published.of_queues(sample for sample in self._queues.samples() if sample.at >= since),
            ]
        )
