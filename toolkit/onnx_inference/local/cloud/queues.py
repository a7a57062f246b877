"""The embedded cloud's queues. Pollers receive and delete messages in memory, without HTTP.

Everything runs on the server's event loop, where API handlers run too: MiniStack replaces a queue's list of messages
when it deletes, and a message that another thread appends at that moment would be lost.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.cloud.patches import Patches, ministack
from onnx_inference.local.cloud.server import MiniStackServer


@dataclass(frozen=True)
class ReceivedMessage:
    """A message in flight, with its metadata."""

    message_id: str
    receipt_handle: str
    body: str
    md5_of_body: str
    md5_of_attributes: str | None
    attributes: Mapping[str, str]
    message_attributes: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class QueueState:
    """How many messages of a queue are visible, and the age of the oldest one in seconds; None when it is empty."""

    name: str
    visible: int
    oldest_seconds: float | None


@dataclass(frozen=True)
class Received:
    """The messages of one receive, and for how many seconds they stay invisible."""

    messages: tuple[ReceivedMessage, ...]
    visibility_seconds: float


class EmbeddedQueues:
    """Receives and deletes messages of queues by their ARNs, without HTTP and without the API's limit of ten.

    Args:
        server: Where the queues are.
        patches: Switches off MiniStack's own pollers. They invoke the version instead of the alias, and know no
            batching window.
    """

    def __init__(self, server: MiniStackServer, patches: Patches) -> None:
        self._server = server
        self._sqs = ministack("services.sqs")
        patches.attribute(ministack("services.lambda_svc"), "_poll_sqs", lambda: False)

    def states(self) -> list[QueueState]:
        """Every queue at this moment. Does not wait for the event loop, because it only reads."""
        now, found = time.time(), []
        for _, queue in self._sqs._queues.all_items():
            messages = list(queue["messages"])
            visible = sum(message["visible_at"] <= now for message in messages)
            oldest = min((message["sent_at"] for message in messages), default=None)
            found.append(QueueState(queue["name"], visible, None if oldest is None else max(0.0, now - oldest)))
        return found

    def receive(self, queue_arn: str, limit: int) -> Received | None:
        """Receive visible messages, for the queue's visibility timeout. Those received too often move to its DLQ.

        Args:
            queue_arn: The queue.
            limit: How many at most.

        Returns:
            The messages, which may be none; None when there is no such queue.
        """
        account, region = _scope(queue_arn)
        return self._server.run(lambda: self._receive(queue_arn, limit), account=account, region=region)

    def _receive(self, queue_arn: str, limit: int) -> Received | None:
        queue = self._sqs._queue_by_arn(queue_arn)
        if queue is None:
            return None
        visibility = int(queue["attributes"].get("VisibilityTimeout", "30"))
        if not queue["messages"]:
            return Received((), visibility)
        self._sqs._expire_retained(queue)
        self._sqs._dlq_sweep(queue)
        taken = self._sqs._collect_msgs(queue, limit, visibility)
        return Received(tuple(self._message(message) for message in taken), visibility)

    def _message(self, message: Mapping[str, Any]) -> ReceivedMessage:
        attributes = message.get("message_attributes") or {}
        return ReceivedMessage(
            message_id=message["id"],
            receipt_handle=message["receipt_handle"],
            body=message["body"],
            md5_of_body=message["md5_body"],
            md5_of_attributes=self._sqs._md5_msg_attrs(attributes) if attributes else None,
            attributes=self._sqs._build_sys_attrs(message, ["All"]),
            message_attributes={name: dict(value) for name, value in attributes.items()},
        )

    def delete(self, queue_arn: str, receipt_handles: Iterable[str]) -> None:
        """Delete messages. A handle deletes nothing once the message was received again."""
        handles = set(receipt_handles)
        account, region = _scope(queue_arn)

        def delete() -> None:
            queue = self._sqs._queue_by_arn(queue_arn)
            if queue is not None:
                queue["messages"] = [m for m in queue["messages"] if m.get("receipt_handle") not in handles]

        if handles:
            self._server.run(delete, account=account, region=region)


def _scope(arn: str) -> tuple[str, str]:
    parts = arn.split(":")
    return parts[4], parts[3]
