"""Who is told that a job is finished."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns


@dataclass(frozen=True, slots=True)
class NoticesToTopic:
    """See `JobNotices.topic`."""

    topic: sns.ITopic


@dataclass(frozen=True, slots=True)
class NoticesToEventBus:
    """See `JobNotices.event_bus`."""

    event_bus: events.IEventBus


class JobNotices:
    """Who is told that a job is finished. There is one notice for each job that gets its final status.

    A notice is JSON: `{"id", "model", "status", "created_at", "updated_at"}`. All values are strings; the last two are
    milliseconds since 1970. A notice does not have the result. It comes from the table's stream through an EventBridge
    pipe, so it does not depend on code of the functions. In rare cases a notice comes twice.
    """

    @staticmethod
    def topic(topic: sns.ITopic) -> NoticesToTopic:
        """Notices are published on an SNS topic.

        Args:
            topic: A standard topic in the stack's region. If it is encrypted with a KMS key of your own, allow
                `AsyncInference.notices_role` to use the key.
        """
        return NoticesToTopic(topic)

    @staticmethod
    def event_bus(event_bus: events.IEventBus) -> NoticesToEventBus:
        """Notices are events on an EventBridge bus, with the source `cdk-onnx-inference`.

        The detail type is `Inference job finished`, and the detail is the notice.

        Args:
            event_bus: An event bus in the stack's region.
        """
        return NoticesToEventBus(event_bus)


AnyJobNotices = NoticesToTopic | NoticesToEventBus
"""What the factories of `JobNotices` return."""
