"""Where jobs wait, and where the messages of failed jobs go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

MAX_RECEIVE_COUNT = 5
"""Attempts before a message is given up. AWS recommends at least 5 with Lambda: throttled polls count as attempts.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

RETENTION = Duration.days(14)
"""The longest that SQS keeps a message."""

DEAD_LETTERS_TIMEOUT = Duration.seconds(30)
"""Of the function that empties the dead-letter queue; a queue's default visibility timeout, so any queue will do."""

_DEFAULT_VISIBILITY, _DEFAULT_RETENTION, _DEFAULT_MESSAGE_SIZE = 30, 4 * 86_400, 1024**2
_MESSAGE_SIZE = 256 * 1024
"""Bytes that messages may have: the job API puts what makes one longer than 200 KiB into the bucket."""

_SQS_CONFIGURE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"


@dataclass(frozen=True, slots=True)
class JobQueues:
    """The queues of an `AsyncInference`."""

    queue: sqs.IQueue
    dead_letters: sqs.IQueue
    parked: sqs.Queue


def visibility_timeout(timeout: Duration, window: Duration) -> Duration:
    """How long a message that a worker has is hidden from others: six attempts' time, as AWS recommends."""
    return Duration.seconds(6 * int(timeout.to_seconds()) + int(window.to_seconds()))


def make(
    scope: Construct, *, visibility: Duration, queue: sqs.IQueue | None, dead_letters: sqs.IQueue | None
) -> JobQueues:
    """Makes the queues that are not there already, all encrypted, TLS only, and with the longest retention.

    Args:
        scope: Their parent.
        visibility: Of the jobs' queue.
        queue: The jobs' queue if it is there already.
        dead_letters: Its dead-letter queue, which then is there too.
    """
    parked = sqs.Queue(
        scope, "ParkedQueue", encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True, retention_period=RETENTION
    )
    if queue is not None:
        assert dead_letters is not None
        return JobQueues(queue, dead_letters, parked)
    made = sqs.Queue(
        scope,
        "DeadLetterQueue",
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=RETENTION,
        visibility_timeout=Duration.seconds(6 * int(DEAD_LETTERS_TIMEOUT.to_seconds())),
    )
    return JobQueues(
        sqs.Queue(
            scope,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=RETENTION,
            visibility_timeout=visibility,
            dead_letter_queue=sqs.DeadLetterQueue(queue=made, max_receive_count=MAX_RECEIVE_COUNT),
        ),
        made,
        parked,
    )


def dead_letters_of(queue: sqs.IQueue) -> sqs.IQueue | None:
    """The dead-letter queue of a queue of this app; None if it has none, or is of elsewhere."""
    if isinstance(queue, sqs.Queue) and queue.dead_letter_queue is not None:
        return queue.dead_letter_queue.queue
    return None


def check_existing(
    path: str,
    queue: sqs.IQueue | None,
    dead_letters: sqs.IQueue | None,
    *,
    timeout: Duration | None,
    window: Duration | None,
    job_timeout: Duration | None,
) -> tuple[list[Problem], list[str], list[str]]:
    """Checks a queue that is there already, if one is, and its dead-letter queue.

    Args:
        path: Prefix of the problems' paths: the construct's.
        queue: The queue.
        dead_letters: What the user gave as its dead-letter queue.
        timeout: Of the worker; None if it is wrong or not known.
        window: The batching window, likewise.
        job_timeout: Of jobs, likewise.

    Returns:
        The problems, what could not be checked, and what is allowed but not advised.
    """
    if queue is not None:
        return _check(
            path,
            queue,
            dead_letters or dead_letters_of(queue),
            timeout=timeout,
            window=window,
            job_timeout=job_timeout,
        )
    if dead_letters is None:
        return [], [], []
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
) -> tuple[list[Problem], list[str], list[str]]:
    problems = _fifo(f"{path}.queue", queue)
    unchecked: list[str] = []
    advice: list[str] = []
    if dead_letters is None:
        problems.append(
            Problem(
                "dead-letter-queue-missing",
                f"{path}.dead_letter_queue",
                "an existing queue whose dead-letter queue is not known",
                "the queue to which SQS moves messages that were received too often",
                "Give dead_letter_queue= as well. Without one, a job whose worker crashes would never be given up.",
            )
        )
    else:
        problems += _fifo(f"{path}.dead_letter_queue", dead_letters)
        problems += _visibility(f"{path}.dead_letter_queue", dead_letters, DEAD_LETTERS_TIMEOUT)
    resource = queue.node.default_child
    if not isinstance(resource, sqs.CfnQueue):
        unchecked.append("its visibility timeout is at least 6 times the worker's timeout, plus the batching window")
        unchecked.append(f"it moves messages to dead_letter_queue after at least {MAX_RECEIVE_COUNT} receives")
        unchecked.append("it keeps messages for at least job_timeout")
        unchecked.append(f"it takes messages of {_MESSAGE_SIZE // 1024} KiB")
        return problems, unchecked, advice
    problems += _receives(f"{path}.queue", queue, resource)
    if timeout is not None and window is not None:
        too_short = _visibility(f"{path}.queue", queue, timeout)
        problems += too_short
        seconds = _number(resource.visibility_timeout, _DEFAULT_VISIBILITY)
        wanted = visibility_timeout(timeout, window).to_seconds()
        if not too_short and seconds is not None and seconds < wanted:
            advice.append(
                f"The queue hides a message for {seconds:g} s from others. AWS recommends {wanted:g} s, 6 times the "
                f"worker's timeout plus the batching window, lest jobs are run twice at once. {_SQS_CONFIGURE}"
            )
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
                f"a queue for messages of {size:g} bytes",
                f"at least {_MESSAGE_SIZE} bytes, for requests that are not yet large enough for the bucket",
                "Leave the queue's max_message_size_bytes out: the default is SQS's largest.",
            )
        )
    return problems, unchecked, advice


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
    """Lambda refuses the mapping of a queue whose messages come back while the function still runs."""
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
            f"Give the queue a longer visibility_timeout: Lambda refuses it otherwise. {_SQS_CONFIGURE}",
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
            "Give the queue dead_letter_queue=DeadLetterQueue(queue=..., max_receive_count=5): polls that Lambda "
            f"throttles count as receives. {_SQS_CONFIGURE}",
        )
    ]


def _number(value: float | None, default: float) -> float | None:
    """A property of a queue; None if it is known only at deployment."""
    if value is None:
        return default
    return None if is_unresolved(float(value)) else value
