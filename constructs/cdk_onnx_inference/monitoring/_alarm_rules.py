"""The rules for alarms on what this library makes."""

from __future__ import annotations

from cdk_onnx_inference.api._published_api import PublishedApi
from cdk_onnx_inference.cold_start.cold_start import Provisioned
from cdk_onnx_inference.functions._live_function import LiveFunction
from cdk_onnx_inference.jobs.async_inference import AsyncInference

from .alarms import AlarmRule, Severity
from .inference_metrics import ApiMetrics, FunctionMetrics

_W, _C = Severity.WARNING, Severity.CRITICAL
_INIT_PHASE = 10_000  # milliseconds; a start on demand that takes longer begins again within the first request


def of_function(function: LiveFunction) -> list[AlarmRule]:
    """Rules for a function that serves models. A timeout that is known only at deployment has none."""
    metrics = FunctionMetrics(function)
    rules = [
        AlarmRule(
            name="error-rate",
            metric=metrics.error_rate(),
            thresholds={_W: 1, _C: 5},
            unit="% of invocations",
            meaning="Invocations end by a timeout, a crash or for want of memory; the function's log says which.",
        ),
        AlarmRule(
            name="throttles",
            metric=metrics.throttles(),
            thresholds={_W: 0, _C: 10},
            unit="in 5 minutes",
            meaning="Lambda refuses invocations: the reserved concurrency or the account's is used up.",
        ),
    ]
    if not function.timeout.is_unresolved():
        timeout = function.timeout.to_milliseconds()
        rules.append(
            AlarmRule(
                name="duration",
                metric=metrics.duration("p99"),
                thresholds={_W: 0.8 * timeout, _C: 0.95 * timeout},
                unit="ms, p99",
                meaning="Invocations come near to the function's timeout, at which they are ended.",
            )
        )
    rules.append(
        AlarmRule(
            name="start",
            metric=metrics.init_duration("p99"),
            thresholds={_W: 0.8 * _INIT_PHASE},
            unit="ms, p99",
            meaning="Environments need nearly the 10 s of Lambda's init phase; beyond, on demand, the start is begun "
            "again within the first request.",
        )
    )
    if isinstance(function.cold_start, Provisioned):
        rules += [
            AlarmRule(
                name="provisioned-spillover",
                metric=metrics.provisioned_spillover(),
                thresholds={_W: 0},
                unit="in 5 minutes",
                meaning="Requests found no provisioned environment free, and met cold starts: provision more, or scale "
                "earlier.",
            ),
            AlarmRule(
                name="provisioned-utilization",
                metric=metrics.provisioned_utilization(),
                thresholds={_W: 0.9},
                unit="of the provisioned environments",
                meaning="Nearly all provisioned environments are busy; the next requests spill over into cold starts.",
            ),
        ]
    return rules


def of_api(api: PublishedApi) -> list[AlarmRule]:
    """Rules for an API. An integration timeout that is known only at deployment has none."""
    metrics = ApiMetrics(api)
    rules = [
        AlarmRule(
            name="api-server-errors",
            metric=metrics.server_error_rate(),
            thresholds={_W: 1, _C: 5},
            unit="% of requests",
            meaning="Clients get 5xx: the function fails or is throttled, a model is not ready, or an answer takes "
            "longer than the API waits.",
        ),
    ]
    if not api._integration_timeout.is_unresolved():
        rules.append(
            AlarmRule(
                name="api-latency",
                metric=metrics.latency("p99"),
                thresholds={_W: 0.8 * api._integration_timeout.to_milliseconds()},
                unit="ms, p99",
                meaning="Answers take nearly as long as the API waits; beyond, clients get 503 or 504.",
            )
        )
    return rules


def of_jobs(jobs: AsyncInference) -> list[AlarmRule]:
    """Rules for jobs."""
    deadline = jobs.job_timeout.to_seconds()
    return [
        AlarmRule(
            name="queue-age",
            metric=jobs.metric_queue_age(),
            thresholds={_W: 0.5 * deadline, _C: 0.9 * deadline},
            unit="seconds",
            meaning="Jobs wait so long that they will be past their deadline: workers fail, or there are too few.",
        ),
        AlarmRule(
            name="dead-letters",
            metric=jobs.metric_dead_letter_queue_depth(),
            thresholds={_C: 0},
            unit="messages",
            meaning="Messages that were given up are not taken out of the dead-letter queue: the function that records "
            "them fails, and their jobs look as if they were still to come.",
        ),
        AlarmRule(
            name="jobs-parked",
            metric=jobs.metric_parked_queue_depth(),
            thresholds={_W: 0},
            unit="messages",
            meaning="Jobs were given up after several attempts. When the cause is mended, onnx-inference redrive has "
            "them done.",
        ),
        AlarmRule(
            name="jobs-expired",
            metric=jobs.metric_jobs_expired(),
            thresholds={_W: 0, _C: 10},
            unit="in 5 minutes",
            meaning="Jobs passed their deadline before they were done.",
        ),
    ]
