"""What `AsyncInference` does when an argument is left out."""

from __future__ import annotations

from aws_cdk import Duration

from cdk_onnx_inference import _validation
from cdk_onnx_inference.api._published_api import integration_timeout
from cdk_onnx_inference.api.api_type import AnyApiType, ApiType
from cdk_onnx_inference.api.inference_api import InferenceApi
from cdk_onnx_inference.functions.inference_function import InferenceFunction

from . import _job_validation, _queues

_WORKER_TIMEOUT = Duration.minutes(1)
_JOB_TIMEOUT = Duration.hours(1)
_MAX_CONCURRENCY = 10

_JOB_API_TIMEOUT = 29
"""Seconds: less than both kinds of API wait, and enough for long polls of 25 s."""


def worker_timeout(function: InferenceFunction) -> Duration:
    """The inference function's, but at least one minute."""
    timeout = function.timeout
    if timeout.is_unresolved() or timeout.to_seconds() > _WORKER_TIMEOUT.to_seconds():
        return timeout
    return _WORKER_TIMEOUT


def batching_window(batch_size: float) -> Duration:
    """None, or one second if the batch size needs a window."""
    return Duration.seconds(1 if _validation.is_number(batch_size) and batch_size > 10 else 0)


def max_concurrency(reserved: float | None) -> int:
    """10, or what is reserved if that is less. Never less than 2, which is Lambda's minimum."""
    if reserved is None or not _validation.is_number(reserved):
        return _MAX_CONCURRENCY
    return max(2, min(_MAX_CONCURRENCY, int(reserved)))


def job_timeout(timeout: Duration, window: Duration) -> Duration:
    """One hour, or the time of two attempts that crash if that is longer."""
    if _job_validation.seconds(timeout) is None or _job_validation.seconds(window) is None:
        return _JOB_TIMEOUT  # one of these is wrong, and is reported
    attempt = int(_queues.visibility_timeout(timeout, window).to_seconds())
    return Duration.seconds(max(int(_JOB_TIMEOUT.to_seconds()), 2 * attempt))


def job_api_timeout(api: InferenceApi | None, api_type: AnyApiType | None) -> Duration:
    """The API's integration timeout in whole seconds, so that a long poll ends before the API gives up."""
    waits = integration_timeout(api_type or ApiType.http_api()) if api is None else api._integration_timeout
    if waits.is_unresolved():
        return Duration.seconds(_JOB_API_TIMEOUT)
    return Duration.seconds(max(1, min(_JOB_API_TIMEOUT, int(waits.to_milliseconds()) // 1000)))
