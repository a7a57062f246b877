"""Limits on how many environments may run at once."""

from __future__ import annotations

from cdk_onnx_inference import _validation
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem


def of_event_source(path: str, value: float | None, reserved: float | None) -> list[Problem]:
    """Checks the maximum concurrency of a queue's event source: 2 to 1000, and no more than is reserved.

    Codes `max-concurrency-range` and `max-concurrency-over-reserved`. CDK accepts more than is reserved. The queue's
    messages are then throttled, which counts as a failed attempt and brings them nearer to the dead-letter queue.

    Args:
        path: The problems' path: the argument's.
        value: What the user gave; None for no limit.
        reserved: Environments that are reserved for the function, or None.
    """
    if value is None or is_unresolved(value):
        return []
    problems = _validation.whole_number(
        "max-concurrency-range",
        path,
        value,
        2,
        1000,
        "invocations",
        "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html",
    )
    return problems or over_reserved(
        "max-concurrency-over-reserved",
        path,
        value,
        "invocations",
        reserved,
        "invocations",
        "Messages that are throttled would end in the dead-letter queue.",
    )


def over_reserved(
    code: str, path: str, value: float, got: str, reserved: float | None, unit: str, reason: str
) -> list[Problem]:
    """Checks that a number of environments is at most the number that is reserved for the function."""
    if reserved is None or is_unresolved(reserved) or not _validation.is_number(reserved) or value <= reserved:
        return []
    return [
        Problem(
            code,
            path,
            f"up to {value:g} {got}, with {reserved:g} reserved",
            f"at most {reserved:g} {unit}, as many as are reserved for the function",
            f"Raise reserved_concurrent_executions or leave it out, or lower this. {reason}",
        )
    ]
