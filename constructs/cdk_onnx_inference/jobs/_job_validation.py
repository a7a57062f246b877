"""Checks the arguments of `AsyncInference` against each other and against AWS's limits."""

from __future__ import annotations

from aws_cdk import Duration

from cdk_onnx_inference import _validation, _warnings
from cdk_onnx_inference._tokens import KNOWN_AT_DEPLOYMENT, is_unresolved
from cdk_onnx_inference.api import _api_validation
from cdk_onnx_inference.api._routes import JOB_ROUTES
from cdk_onnx_inference.api.api_auth import ApiAuth
from cdk_onnx_inference.api.api_type import ApiType
from cdk_onnx_inference.api.inference_api import InferenceApi
from cdk_onnx_inference.api.throttle import Throttle
from cdk_onnx_inference.errors import Problem

from . import _queues
from .job_api import JobApiOptions

_MOST_SECONDS = 14 * 86_400
_LONGEST_RETENTION = 3650 * 86_400
_SQS_BATCHING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"


def seconds(value: Duration | None) -> int | None:
    """A duration in seconds. None if it is not whole seconds, not known at synth, or no duration."""
    if not isinstance(value, Duration) or value.is_unresolved():
        return None
    milliseconds = value.to_milliseconds()
    return int(milliseconds // 1000) if milliseconds % 1000 == 0 else None


def worker_timeout(path: str, value: Duration) -> list[Problem]:
    """1 to 900 whole seconds, known at synth because other values are derived from it."""
    if isinstance(value, Duration) and value.is_unresolved():
        return [
            Problem(
                "worker-timeout-unresolved",
                path,
                KNOWN_AT_DEPLOYMENT,
                "a timeout that is known at synth",
                "The queue's visibility timeout is derived from it: give e.g. Duration.seconds(60).",
            )
        ]
    return _validation.timeout(path, value)


def batch(path: str, size: float, window: Duration) -> list[Problem]:
    """1 to 10,000 messages; more than 10 need a window, which is 0 to 300 whole seconds."""
    problems = _validation.whole_number(
        "batch-size-range", f"{path}.batch_size", size, 1, 10_000, "jobs", _SQS_BATCHING
    )
    given = seconds(window)
    if given is None or given > 300:
        problems.append(
            Problem(
                "batching-window-range",
                f"{path}.batching_window",
                _validation.duration_text(window),
                "0 to 300 whole seconds, known at synth, as a Duration",
                f"Give e.g. Duration.seconds(1). {_SQS_BATCHING}",
            )
        )
    elif not problems and not is_unresolved(size) and size > 10 and given < 1:
        problems.append(
            Problem(
                "batching-window-missing",
                f"{path}.batching_window",
                f"0 s, with batch_size={size:g}",
                "at least 1 s with batches of more than 10",
                f"Give batching_window=Duration.seconds(1). {_SQS_BATCHING}",
            )
        )
    return problems


def micro_batch(path: str, value: float) -> list[Problem]:
    """1 to 10,000 rows."""
    return _validation.whole_number(
        "micro-batch-size-range", f"{path}.micro_batch_size", value, 1, 10_000, "rows", "1 runs each job by itself."
    )


def times(path: str, timeout: Duration, job_timeout: Duration, retention: Duration) -> list[Problem]:
    """A deadline that one attempt can meet, and a retention within limits."""
    problems = _period("job-timeout-range", f"{path}.job_timeout", job_timeout, _MOST_SECONDS, "Duration.hours(1)")
    attempt, deadline = seconds(timeout), seconds(job_timeout)
    if not problems and attempt is not None and deadline is not None and deadline < attempt:
        problems.append(
            Problem(
                "job-timeout-too-short",
                f"{path}.job_timeout",
                job_timeout.to_human_string(),
                f"at least the worker's timeout, {timeout.to_human_string()}",
                "Give jobs more time, or the worker a shorter timeout: a job would expire while it runs.",
            )
        )
    return problems + _period(
        "job-retention-range", f"{path}.retention", retention, _LONGEST_RETENTION, "Duration.days(14)"
    )


def second_attempt(timeout: Duration, window: Duration, job_timeout: Duration) -> list[tuple[str, str]]:
    """A warning, as id and text, if a job expires before an attempt that crashed can be repeated."""
    visibility = _queues.visibility_timeout(timeout, window).to_seconds()
    if job_timeout.to_seconds() > visibility:
        return []
    return [
        (
            _warnings.NO_SECOND_ATTEMPT,
            f"An attempt that crashes is repeated after {visibility:g} s, 6 times the worker's timeout plus the "
            f"batching window. Jobs expire after {job_timeout.to_seconds():g} s, so each is tried once. Give jobs a "
            "longer job_timeout, or the worker a shorter timeout.",
        )
    ]


def api_options(path: str, api: InferenceApi | None, options: JobApiOptions) -> list[Problem]:
    """The options of a new API; with an existing API, that there are none."""
    if api is None:
        return _api_validation.check(
            path,
            api_type=options["api_type"] or ApiType.http_api(),
            auth=options["auth"] or ApiAuth.iam(),
            throttle=options["throttle"] or Throttle(),
            cors=options["cors"],
        )
    problems = [
        Problem(
            "api-options",
            f"{path}.{name}",
            f"{name}= together with api=",
            "options of a new API, or an existing API",
            "Leave it out: the jobs have the options of the API.",
        )
        for name, value in options.items()
        if value is not None
    ]
    if set(JOB_ROUTES) & set(api._routes):
        problems.append(
            Problem(
                "api-has-jobs",
                f"{path}.api",
                f"{api.node.path!r}, which publishes the jobs of another AsyncInference",
                "an API without jobs",
                "Leave api= out for an API of its own.",
            )
        )
    return problems


def _period(code: str, path: str, value: Duration, most: int, example: str) -> list[Problem]:
    given = seconds(value)
    if given is not None and 1 <= given <= most:
        return []
    return [
        Problem(
            code,
            path,
            _validation.duration_text(value),
            f"1 to {most} whole seconds, known at synth, as a Duration",
            f"Give e.g. {example}.",
        )
    ]
