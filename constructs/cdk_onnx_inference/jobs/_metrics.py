"""The metrics of jobs: those of their queues, and those that the functions embed in their logs."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_onnx_inference.functions.service_function import ServiceFunction


class JobMetrics(Construct):
    """The metrics of `AsyncInference`."""

    job_api: ServiceFunction
    worker: ServiceFunction
    dead_letters: ServiceFunction
    sweeper: ServiceFunction
    queue: sqs.IQueue
    dead_letter_queue: sqs.IQueue
    parked_queue: sqs.Queue
    _metrics_namespace: str

    def metric_queue_depth(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        """Jobs that are waiting in the queue. Statistic: maximum."""
        return self.queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=period)

    def metric_queue_age(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        """Seconds that the oldest job has been in the queue. Statistic: maximum."""
        return self.queue.metric_approximate_age_of_oldest_message(statistic="Maximum", period=period)

    def metric_dead_letter_queue_depth(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        """Messages that failed too often and are not recorded yet: 0, except for seconds. Statistic: maximum."""
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=period)

    def metric_parked_queue_depth(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        """Messages of failed jobs, which can be sent again. Statistic: maximum."""
        return self.parked_queue.metric_approximate_number_of_messages_visible(statistic="Maximum", period=period)

    def metric_jobs_succeeded(self, *, period: Duration | None = None) -> cloudwatch.IMetric:
        """Jobs that got the status SUCCEEDED. Statistic: sum."""
        return self._count("JobsSucceeded", [self.worker], period)

    def metric_jobs_failed(self, *, period: Duration | None = None) -> cloudwatch.IMetric:
        """Jobs that got the status FAILED, from the worker or because they were given up. Statistic: sum."""
        return self._count("JobsFailed", [self.worker, self.dead_letters], period)

    def metric_jobs_expired(self, *, period: Duration | None = None) -> cloudwatch.IMetric:
        """Jobs that got the status EXPIRED, from whichever function. Statistic: sum."""
        return self._count("JobsExpired", [self.worker, self.sweeper, self.job_api], period)

    def metric_job_latency(self, *, statistic: str = "p99", period: Duration | None = None) -> cloudwatch.Metric:
        """Milliseconds from a job's submission to its end, including the wait. Default statistic: p99."""
        return self._metric("JobLatency", self.worker, statistic, period)

    def _count(self, name: str, functions: Sequence[ServiceFunction], period: Duration | None) -> cloudwatch.IMetric:
        if len(functions) == 1:
            return self._metric(name, functions[0], "Sum", period)
        identifier = name[0].lower() + name[1:]  # differs from the other counts, which may be in the same graph
        metrics = {
            f"{identifier}{number}": self._metric(name, of, "Sum", period) for number, of in enumerate(functions)
        }
        return cloudwatch.MathExpression(
            expression=" + ".join(f"FILL({metric}, 0)" for metric in metrics),
            using_metrics=dict(metrics),
            label=name,
            period=period,
        )

    def _metric(
        self, name: str, function: ServiceFunction, statistic: str, period: Duration | None
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=self._metrics_namespace,
            metric_name=name,
            dimensions_map={"FunctionName": function.function.function_name},
            statistic=statistic,
            period=period,
        )
