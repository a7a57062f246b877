"""The queues: where jobs wait, and where the messages of failed jobs go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_onnx_inference import _warnings
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

MAX_RECEIVE_COUNT = 5
"""Receives before a message goes to the dead-letter queue. AWS recommends at least 5 with Lambda, because throttled
polls count too.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

RETENTION = Duration.days(14)
"""The longest time that SQS keeps a message."""

DEAD_LETTERS_TIMEOUT = Duration.seconds(30)
"""Of the function that empties the dead-letter queue: the default visibility timeout, so that every queue fits."""

_DEFAULT_VISIBILITY, _DEFAULT_RETENTION, _DEFAULT_MESSAGE_SIZE = 30, 4 * 86_400, 1024**2
_MESSAGE_SIZE = 256 * 1024
"""Bytes that a message may have. The job API puts requests that would make it longer than 200 KiB into the bucket."""

_SQS_AND_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"


@dataclass(frozen=True, slots=True)
class JobQueues:
    """The queues of an `AsyncInference`."""

    queue: sqs.IQueue
    dead_letters: sqs.IQueue
    parked: sqs.Queue


def visibility_timeout(timeout: Duration, window: Duration) -> Duration:
    """How long a message that a worker has is hidden from other workers: 6 times the timeout, as AWS recommends."""
    return Duration.seconds(6 * int(timeout.to_seconds()) + int(window.to_seconds()))


def make(
    scope: Construct, *, visibility: Duration, queue: sqs.IQueue | None, dead_letters: sqs.IQueue | None
) -> JobQueues:
    """Makes the queues that are not given. They are encrypted, accept TLS only, and have the longest retention.

    Args:
        scope: Their parent.
        visibility: Visibility timeout of the jobs' queue.
        queue: The jobs' queue, if it exists already.
        dead_letters: Its dead-letter queue. Default: the one that `queue` itself names.
    """
    parked = _queue(scope, "ParkedQueue")
    if queue is not None:
        dead_letters = dead_letters or _dead_letters_of(queue)
        assert dead_letters is not None
        return JobQueues(queue, dead_letters, parked)
    made = _queue(
        scope,
        "DeadLetterQueue",
        visibility_timeout=Duration.seconds(6 * int(DEAD_LETTERS_TIMEOUT.to_seconds())),
    )
    return JobQueues(
        _queue(
            scope,
            "Queue",
            visibility_timeout=visibility,
            dead_letter_queue=sqs.DeadLetterQueue(queue=made, max_receive_count=MAX_RECEIVE_COUNT),
        ),
        made,
        parked,
    )


def check_existing(
    path: str,
    queue: sqs.IQueue | None,
    dead_letters: sqs.IQueue | None,
    *,
    timeout: Duration | None,
    window: Duration | None,
    job_timeout: Duration | None,
) -> tuple[list[Problem], list[tuple[str, str]]]:
    """Checks queues that are not made here.

    Args:
        path: Prefix of the problems' paths: the construct's.
        queue: The jobs' queue, or None.
        dead_letters: What the user gave as its dead-letter queue, or None.
        timeout: The worker's timeout, or None if it is wrong.
        window: The batching window, or None if it is wrong.
        job_timeout: The timeout of jobs, or None if it is wrong.

    Returns:
        The problems, and warnings: ids and texts.
    """
    if queue is not None:
        return _check(
            path,
            queue,
            dead_letters or _dead_letters_of(queue),
            timeout=timeout,
            window=window,
            job_timeout=job_timeout,
        )
    if dead_letters is None:
        return [], []
    return (
        [
            Problem(
                "dead-letter-queue-alone",
                f"{path}.dead_letter_queue",
                "a dead-letter queue without its queue",
                "both, or neither",
                "Give queue= as well: a new queue has a new dead-letter queue.",
            )
        ],
        [],
    )


def _check(
    path: str,
    queue: sqs.IQueue,
    dead_letters: sqs.IQueue | None,
    *,
    timeout: Duration | None,
    window: Duration | None,
    job_timeout: Duration | None,
) -> tuple[list[Problem], list[tuple[str, str]]]:
    problems = _fifo(f"{path}.queue", queue)
    if dead_letters is None:
        problems.append(
            Problem(
                "dead-letter-queue-missing",
                f"{path}.dead_letter_queue",
                "an existing queue with a dead-letter queue that is not known",
                "the queue to which SQS moves messages that were received too often",
                "Give dead_letter_queue= as well. Without one, a job that crashes its worker would never be given up.",
            )
        )
    else:
        problems += _fifo(f"{path}.dead_letter_queue", dead_letters)
        problems += _visibility(f"{path}.dead_letter_queue", dead_letters, DEAD_LETTERS_TIMEOUT)
    resource = queue.node.default_child
    if not isinstance(resource, sqs.CfnQueue):
        unchecked = (
            "An imported queue cannot be checked at synth. Make sure that its visibility timeout is at least 6 times "
            "the worker's timeout, plus the batching window; it moves messages to dead_letter_queue after at least "
            f"{MAX_RECEIVE_COUNT} receives; it keeps messages for at least job_timeout; it accepts messages of "
            f"{_MESSAGE_SIZE // 1024} KiB."
        )
        return problems, [(_warnings.EXISTING_QUEUE, unchecked)]
    warnings = []
    problems += _receives(f"{path}.queue", queue, resource)
    if timeout is not None and window is not None:
        too_short = _visibility(f"{path}.queue", queue, timeout)
        problems += too_short
        seconds = _number(resource.visibility_timeout, _DEFAULT_VISIBILITY)
        wanted = visibility_timeout(timeout, window).to_seconds()
        if not too_short and seconds is not None and seconds < wanted:
            text = (
                f"The queue hides a message from other workers for {seconds:g} s. AWS recommends {wanted:g} s, 6 times "
                "the worker's timeout plus the batching window, so that a job does not run twice at the same time. "
                f"{_SQS_AND_LAMBDA}"
            )
            warnings.append((_warnings.VISIBILITY_TIMEOUT, text))
    retention = _number(resource.message_retention_period, _DEFAULT_RETENTION)
    if job_timeout is not None and retention is not None and retention < job_timeout.to_seconds():
        problems.append(
            Problem(
                "queue-retention",
                f"{path}.queue",
                f"a queue that drops messages after {retention:g} s",
                f"at least job_timeout, {job_timeout.to_seconds():g} s",
                "Give the queue a longer retention_period, or jobs a shorter job_timeout.",
            )
        )
    size = _number(resource.maximum_message_size, _DEFAULT_MESSAGE_SIZE)
    if size is not None and size < _MESSAGE_SIZE:
        problems.append(
            Problem(
                "queue-message-size",
                f"{path}.queue",
                f"a queue for messages of up to {size:g} bytes",
                f"at least {_MESSAGE_SIZE} bytes, for requests that are not large enough for the bucket",
                "Leave the queue's max_message_size_bytes out: the default is SQS's largest.",
            )
        )
    return problems, warnings


def _queue(scope: Construct, construct_id: str, **options: Any) -> sqs.Queue:
    return sqs.Queue(
        scope,
        construct_id,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=RETENTION,
        **options,
    )


def _dead_letters_of(queue: sqs.IQueue) -> sqs.IQueue | None:
    """The dead-letter queue of a queue of this app. None if it has none, or was imported."""
    if isinstance(queue, sqs.Queue) and queue.dead_letter_queue is not None:
        return queue.dead_letter_queue.queue
    return None


def _fifo(path: str, queue: sqs.IQueue) -> list[Problem]:
    if not queue.fifo:
        return []
    return [
        Problem(
            "queue-fifo",
            path,
            "a FIFO queue",
            "a standard queue: jobs have no order, and one that fails must not hold up others",
            "Give a standard queue, or leave it out.",
        )
    ]


def _visibility(path: str, queue: sqs.IQueue, timeout: Duration) -> list[Problem]:
    """Lambda refuses an event source with a visibility timeout that is shorter than the function's timeout."""
    resource = queue.node.default_child
    if not isinstance(resource, sqs.CfnQueue):
        return []
    seconds = _number(resource.visibility_timeout, _DEFAULT_VISIBILITY)
    if seconds is None or seconds >= timeout.to_seconds():
        return []
    return [
        Problem(
            "queue-visibility-timeout",
            path,
            f"a visibility timeout of {seconds:g} s",
            f"at least the function's timeout, {timeout.to_seconds():g} s, and better 6 times as much",
            f"Give the queue a longer visibility_timeout: Lambda refuses it otherwise. {_SQS_AND_LAMBDA}",
        )
    ]


def _receives(path: str, queue: sqs.IQueue, resource: sqs.CfnQueue) -> list[Problem]:
    policy: Any = Stack.of(queue).resolve(resource.redrive_policy)
    count = policy.get("maxReceiveCount") if isinstance(policy, dict) else None
    if count is not None and (not isinstance(count, int | float) or count >= MAX_RECEIVE_COUNT):
        return []
    return [
        Problem(
            "queue-receive-count",
            path,
            "a queue without a redrive policy" if count is None else f"a maxReceiveCount of {count:g}",
            f"at least {MAX_RECEIVE_COUNT} receives, then the dead-letter queue",
            "Give the queue dead_letter_queue=DeadLetterQueue(queue=..., max_receive_count=5): polls that are "
            f"throttled count as receives. {_SQS_AND_LAMBDA}",
        )
    ]


def _number(value: float | None, default: float) -> float | None:
    """A property of a queue, or None if it is known only at deployment."""
    if value is None:
        return default
    return None if is_unresolved(float(value)) else value
