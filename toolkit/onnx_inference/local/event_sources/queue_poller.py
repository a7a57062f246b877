"""Lambda's pollers of a queue: each receives a batch, invokes the function, and deletes what succeeded."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from onnx_inference.local.cloud.queues import EmbeddedQueues, ReceivedMessage
from onnx_inference.local.event_sources.event_counts import EventCounts
from onnx_inference.local.event_sources.event_pattern import passes
from onnx_inference.local.event_sources.event_source_mapping import QueueMapping
from onnx_inference.local.event_sources.queue_event import encode, failed_items, filtered_form, record_of
from onnx_inference.local.lambda_host.invocation import (
    PAYLOAD_LIMIT_BYTES,
    InvocationResult,
    InvokeError,
    TooManyRequests,
)

_IDLE_SECONDS = 0.1
_DISABLED_SECONDS = 0.25
_THROTTLED_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0)
_ENVELOPE_BYTES = len(encode(()))

#: Invokes a function by its ARN with its qualifier.
Invoke = Callable[[str, bytes], InvocationResult]


@dataclass
class _Batch:
    """Messages on their way to the function, each with its record as JSON."""

    messages: list[ReceivedMessage] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    size: int = _ENVELOPE_BYTES
    visible_again_at: float = 0.0

    def fits(self, record: str) -> bool:
        return not self.records or self.size + len(record.encode()) + 1 <= PAYLOAD_LIMIT_BYTES

    def add(self, message: ReceivedMessage, record: str, visible_again_at: float) -> None:
        if not self.messages:
            self.visible_again_at = visible_again_at
        self.messages.append(message)
        self.records.append(record)
        self.size += len(record.encode()) + 1


class QueuePoller(threading.Thread):
    """One of a mapping's pollers: a thread that handles one batch at a time.

    Args:
        name: The thread's name.
        current: Tells the mapping as it is now; None when it is gone, which ends the thread.
        queues: The queues.
        invoke: Invokes the function.
        counts: Shared by the mapping's pollers.
        stopping: Set when no further batch is to be received.
    """

    def __init__(
        self,
        name: str,
        *,
        current: Callable[[], QueueMapping | None],
        queues: EmbeddedQueues,
        invoke: Invoke,
        counts: EventCounts,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._current = current
        self._queues = queues
        self._invoke = invoke
        self._counts = counts
        self._stopping = stopping
        self._left_over: list[tuple[ReceivedMessage, str, float]] = []
        self.busy = False

    def run(self) -> None:
        """Poll until the mapping is gone or the twin stops."""
        while not self._stopping.is_set():
            mapping = self._current()
            if mapping is None:
                return
            if not mapping.enabled:
                self._stopping.wait(_DISABLED_SECONDS)
                continue
            try:
                batch = self._gather(mapping)
                self.busy = bool(batch.messages)
                if batch.messages:
                    self._process(mapping, batch)
                else:
                    self._stopping.wait(_IDLE_SECONDS)
            except RuntimeError:  # the cloud is stopping; what is in flight becomes visible again
                self._stopping.wait(_IDLE_SECONDS)

    # -- taking a batch -----------------------------------------------------------------------------------------

    def _gather(self, mapping: QueueMapping) -> _Batch:
        """Receive messages until the batch is full, an invocation could take no more, or the window is over."""
        batch = _Batch()
        waiting, self._left_over = self._left_over, []
        deadline: float | None = None
        while True:
            while waiting and len(batch.messages) < mapping.batch_size:
                if not batch.fits(waiting[0][1]):
                    break
                batch.add(*waiting.pop(0))
            if waiting or len(batch.messages) >= mapping.batch_size:
                self._left_over = waiting
                return batch
            waiting = self._receive(mapping, mapping.batch_size - len(batch.messages))
            if waiting:
                deadline = deadline or time.monotonic() + mapping.window_seconds
                continue
            if not batch.messages or deadline is None or self._stopping.is_set():
                return batch
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return batch
            self._stopping.wait(min(_IDLE_SECONDS / 2, remaining))

    def _receive(self, mapping: QueueMapping, limit: int) -> list[tuple[ReceivedMessage, str, float]]:
        received = self._queues.receive(mapping.queue_arn, limit)
        if received is None or not received.messages:
            return []
        visible_again_at = time.monotonic() + received.visibility_seconds
        taken, unwanted = [], []
        for message in received.messages:
            record = record_of(message, mapping.queue_arn)
            if passes(mapping.patterns, filtered_form(record) if mapping.patterns else {}):
                taken.append((message, json.dumps(record, ensure_ascii=False), visible_again_at))
            else:
                unwanted.append(message.receipt_handle)
        # As on AWS, messages that no filter lets pass are deleted.
        self._queues.delete(mapping.queue_arn, unwanted)
        self._counts.add(received=len(received.messages), filtered=len(unwanted))
        return taken

    # -- invoking -----------------------------------------------------------------------------------------------

    def _process(self, mapping: QueueMapping, batch: _Batch) -> None:
        self._counts.add(batches=1)
        result = self._invoked(mapping, batch)
        sent = [message.message_id for message in batch.messages]
        if result is None or result.function_error is not None:
            failed = set(sent)
        elif mapping.reports_item_failures:
            failed = failed_items(result.payload, sent)
        else:
            failed = set()
        done = [message.receipt_handle for message in batch.messages if message.message_id not in failed]
        self._queues.delete(mapping.queue_arn, done)
        self._counts.add(deleted=len(done), failed=len(batch.messages) - len(done))

    def _invoked(self, mapping: QueueMapping, batch: _Batch) -> InvocationResult | None:
        """The function's answer; None when it cannot be invoked before the messages are visible again."""
        payload = encode(batch.records)
        waits = iter(_THROTTLED_SECONDS)
        wait = next(waits)
        while True:
            try:
                return self._invoke(mapping.function_arn, payload)
            except TooManyRequests:
                self._counts.add(throttled=1)
            except InvokeError:
                return None
            if time.monotonic() + wait >= batch.visible_again_at or self._stopping.wait(wait):
                return None
            wait = next(waits, wait)
