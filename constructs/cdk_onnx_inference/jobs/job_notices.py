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
    """Who is told that a job is finished, once for each job that has got its final status.

    A notice is JSON: `{"id", "model", "status", "created_at", "updated_at"}`, all of them strings, the last two
    milliseconds since 1970. It says that a job is finished, not what its result is. It comes from the table's stream by
    an EventBridge pipe, so no code sends it, and none can forget to. Like everything that comes from a stream it may,
    rarely, come twice.
    """

    @staticmethod
    def topic(topic: sns.ITopic) -> NoticesToTopic:
        """Notices are published on an SNS topic.

        Args:
            topic: A standard topic, in the stack's region. If it is encrypted with a key of your own, let
                `AsyncInference.notices_role` use it.
        """
        return NoticesToTopic(topic)

    @staticmethod
    def event_bus(event_bus: events.IEventBus) -> NoticesToEventBus:
        """Notices are events on an EventBridge bus, with the source `cdk-onnx-inference`.

        Their detail type is `Inference job finished`, and their detail the notice.

        Args:
            event_bus: In the stack's region.
        """
        return NoticesToEventBus(event_bus)


AnyJobNotices = NoticesToTopic | NoticesToEventBus
"""What the factories of `JobNotices` return."""
