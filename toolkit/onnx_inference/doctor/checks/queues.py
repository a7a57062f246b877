"""SQS queues that functions consume, and their dead-letter queues."""

from collections.abc import Iterator
from typing import Any

from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import Resource, Template

_QUEUE = "AWS::SQS::Queue"
_MAPPING = "AWS::Lambda::EventSourceMapping"
_LAMBDA_SQS = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
_ERRORS = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
_SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"


def _mapped(template: Template) -> Iterator[tuple[Resource, Resource, Resource | None]]:
    """Each mapping of a queue in the template, with the queue and the function, if that is here too."""
    for mapping in template.resources(_MAPPING):
        queue = template.referred(mapping.value("EventSourceArn"), _QUEUE)
        if queue is not None:
            yield mapping, queue, template.function_of(mapping.value("FunctionName"))[0]


def _visibility(template: Template) -> Iterator[Finding]:
    for mapping, queue, function in _mapped(template):
        if function is None:
            continue
        visibility = queue.number("VisibilityTimeout", default=30)
        timeout = function.number("Timeout", default=3)
        window = mapping.number("MaximumBatchingWindowInSeconds", default=0)
        if visibility is None or timeout is None or window is None or visibility >= 6 * timeout + window:
            continue
        yield Finding.at(
            queue,
            code="queue-visibility-timeout",
            severity="error" if visibility < timeout else "warning",
            location="VisibilityTimeout",
            got=f"{visibility:g} seconds",
            allowed=f"{6 * timeout + window:g} or more: 6 x the {timeout:g} seconds that {function.logical_id} may run"
            + (f", and the batching window of {window:g}" if window else ""),
            fix="Raise it: otherwise messages become visible and are processed again while they are being processed"
            + (", and Lambda refuses the mapping." if visibility < timeout else "."),
        )


def _over_pull(template: Template) -> Iterator[Finding]:
    for mapping, _, function in _mapped(template):
        reserved = None if function is None else function.value("ReservedConcurrentExecutions")
        if function is None or not isinstance(reserved, int):
            continue
        most = mapping.value("ScalingConfig", "MaximumConcurrency")
        if most is not None and (not isinstance(most, int) or most <= reserved):
            continue
        yield Finding.at(
            mapping,
            code="queue-over-pull",
            severity="warning",
            location="ScalingConfig.MaximumConcurrency",
            got="nothing" if most is None else str(most),
            allowed=f"2 to {reserved}, the reserved concurrency of {function.logical_id}",
            fix="Set it: the pollers ignore the reserved concurrency, and a message that is throttled counts as "
            "received, so it can end in the dead-letter queue without having run.",
        )


def _without_dead_letters(template: Template) -> Iterator[Finding]:
    for queue in {queue.logical_id: queue for _, queue, _ in _mapped(template)}.values():
        if queue.value("RedrivePolicy") is None and not _is_dead_letter_queue(template, queue):
            yield Finding.at(
                queue,
                code="queue-without-dead-letter-queue",
                severity="warning",
                location="RedrivePolicy",
                got="nothing",
                allowed="a dead-letter queue, after 5 or more receives",
                fix="Add one: a message that cannot be processed is retried until it expires, and is then lost.",
            )


def _receives(template: Template) -> Iterator[Finding]:
    for queue in {queue.logical_id: queue for _, queue, _ in _mapped(template)}.values():
        most = queue.number("RedrivePolicy", "maxReceiveCount", default=10)
        if most is not None and most < 5:
            yield Finding.at(
                queue,
                code="queue-max-receive-count",
                severity="warning",
                location="RedrivePolicy.maxReceiveCount",
                got=f"{most:g}",
                allowed="5 or more",
                fix="Raise it: a function that is throttled for a moment uses up receives without having run.",
            )


def _unconsumed(template: Template) -> Iterator[Finding]:
    consumed = {queue.logical_id for _, queue, _ in _mapped(template)}
    watched = {
        queue.logical_id
        for alarm in template.resources("AWS::CloudWatch::Alarm")
        if (queue := template.referred([alarm.value("Dimensions"), alarm.value("Metrics")], _QUEUE)) is not None
    }
    for queue in template.resources(_QUEUE):
        if _is_dead_letter_queue(template, queue) and queue.logical_id not in consumed | watched:
            yield Finding.at(
                queue,
                code="dead-letter-queue-unattended",
                severity="warning",
                location="",
                got="neither a consumer nor an alarm",
                allowed="one of the two",
                fix="Alarm on ApproximateNumberOfMessagesVisible, or consume it: otherwise nobody learns that messages "
                "failed.",
            )


def _retention(template: Template) -> Iterator[Finding]:
    for queue in template.resources(_QUEUE):
        dead = template.referred(queue.value("RedrivePolicy", "deadLetterTargetArn"), _QUEUE)
        if dead is None:
            continue
        kept = queue.number("MessageRetentionPeriod", default=345_600)
        dead_kept = dead.number("MessageRetentionPeriod", default=345_600)
        if kept is not None and dead_kept is not None and dead_kept <= kept < 1_209_600:
            yield Finding.at(
                dead,
                code="dead-letter-queue-retention",
                severity="warning",
                location="MessageRetentionPeriod",
                got=f"{dead_kept:g} seconds",
                allowed=f"more than the {kept:g} of {queue.logical_id}, e.g. 1209600 (14 days)",
                fix="Raise it: the age of a message counts from when it was first sent, so it may expire as soon as it "
                "arrives here.",
            )


def _partial_batches(template: Template) -> Iterator[Finding]:
    for mapping, _, _ in _mapped(template):
        size = mapping.number("BatchSize", default=10)
        kinds: Any = mapping.value("FunctionResponseTypes") or []
        if size is not None and size > 1 and "ReportBatchItemFailures" not in str(kinds):
            yield Finding.at(
                mapping,
                code="batch-item-failures",
                severity="warning",
                location="FunctionResponseTypes",
                got="nothing" if not kinds else str(kinds),
                allowed="ReportBatchItemFailures, or a BatchSize of 1",
                fix="Turn it on, and return the failed messages' ids: otherwise one failed message makes the whole "
                "batch run again.",
            )


def _is_dead_letter_queue(template: Template, queue: Resource) -> bool:
    return any(
        template.referred(other.value("RedrivePolicy", "deadLetterTargetArn"), _QUEUE) == queue
        for other in template.resources(_QUEUE)
    )


CHECKS = (
    Check(
        code="queue-visibility-timeout",
        title="a queue hides a message for 6 x the function's timeout, and the batching window",
        why="Messages are processed again while they are being processed.",
        source=_LAMBDA_SQS,
        find=_visibility,
    ),
    Check(
        code="queue-over-pull",
        title="pollers ask for no more concurrency than is reserved",
        why="Throttled messages end in the dead-letter queue without having run.",
        source=_SCALING,
        find=_over_pull,
    ),
    Check(
        code="queue-without-dead-letter-queue",
        title="a queue that a function works off has a dead-letter queue",
        why="A message that cannot be processed is retried until it expires, and is then lost.",
        source=_ERRORS,
        find=_without_dead_letters,
    ),
    Check(
        code="queue-max-receive-count",
        title="a message has 5 attempts or more",
        why="Throttling uses up attempts.",
        source=_ERRORS,
        find=_receives,
    ),
    Check(
        code="dead-letter-queue-unattended",
        title="somebody attends to a dead-letter queue: a consumer or an alarm",
        why="Nobody learns that messages failed.",
        source=_ERRORS,
        find=_unconsumed,
    ),
    Check(
        code="dead-letter-queue-retention",
        title="a dead-letter queue keeps messages longer than the queue before it",
        why="A message's age counts from its first queue.",
        source="https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html",
        find=_retention,
    ),
    Check(
        code="batch-item-failures",
        title="a function that takes several messages reports which of them failed",
        why="One failed message makes the whole batch run again.",
        source=_ERRORS,
        find=_partial_batches,
    ),
)
