"""Runs one pipe: reads a table's stream and sends its records to the target."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

from onnx_inference.extras import import_from_extra
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloud.streams import PipeRecord
from onnx_inference.local.event_sources.event_counts import EventCounts
from onnx_inference.local.event_sources.event_pattern import passes
from onnx_inference.local.event_sources.pipe import Pipe
from onnx_inference.local.event_sources.queue_poller import Invoke
from onnx_inference.local.lambda_host.invocation import InvokeError

_IDLE_SECONDS = 0.1
_REFUSED_SECONDS = 1.0
_RECORDS_AT_ONCE = 100


class PipeRunner(threading.Thread):
    """One pipe. It reads its stream in order, and retries a record that the target refuses, as AWS does.

    Args:
        pipe: The pipe.
        record: The cloud's record of it.
        cloud: The running cloud.
        invoke: Invokes a function.
        stopping: Set when no further record is to be read.
    """

    def __init__(
        self, pipe: Pipe, record: PipeRecord, cloud: EmbeddedCloud, invoke: Invoke, stopping: threading.Event
    ) -> None:
        super().__init__(name=f"pipe-{pipe.name[:40]}", daemon=True)
        self.pipe = pipe
        self.record = record
        self.counts = EventCounts()
        self._cloud = cloud
        self._streams = cloud.streams
        self._invoke = invoke
        self._stopping = stopping
        self._ended = threading.Event()
        self._clients: dict[str, Any] = {}

    def follow(self, pipe: Pipe, record: PipeRecord) -> None:
        """Continue with the pipe as it is now."""
        self.pipe, self.record = pipe, record

    def end(self) -> None:
        """Stop: the pipe is gone."""
        self._ended.set()

    def run(self) -> None:
        """Read and send until the pipe is gone or the twin stops."""
        while not self._stopping.is_set() and not self._ended.is_set():
            try:
                wait = self._step() if self.record.running else _IDLE_SECONDS
            except (RuntimeError, LookupError):  # the cloud is stopping, or the table is gone
                wait = _REFUSED_SECONDS
            if wait:
                self._stopping.wait(wait)

    def _step(self) -> float:
        """Send some records; returns how many seconds to wait before the next."""
        position = self._streams.position(self.record)
        first, records = self._streams.records(self.pipe.stream_arn, position, _RECORDS_AT_ONCE)
        self.counts.add(received=len(records))
        for number, record in enumerate(records):
            if self._stopping.is_set() or self._ended.is_set():
                return 0.0
            if not passes(self.pipe.patterns, record):
                self.counts.add(filtered=1)
            elif not self._send(record):
                self.counts.add(failed=1, received=number - len(records))
                return _REFUSED_SECONDS
            self._streams.advance(self.record, first + number + 1)
        return 0.0 if records else _IDLE_SECONDS

    def _send(self, record: dict[str, Any]) -> bool:
        """Whether the target took the record."""
        pipe = self.pipe
        payload = pipe.payload(record, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.counts.add(batches=1)
        botocore = import_from_extra("botocore.exceptions", "local")
        try:
            taken = self._deliver(pipe, record, payload)
        except (botocore.ClientError, botocore.BotoCoreError, InvokeError):
            return False
        self.counts.add(deleted=int(taken))
        return taken

    def _deliver(self, pipe: Pipe, record: dict[str, Any], payload: str) -> bool:
        if pipe.target_service == "sns":
            self._client("sns").publish(TopicArn=pipe.target_arn, Message=payload)
        elif pipe.target_service == "sqs":
            client = self._client("sqs")
            url = client.get_queue_url(QueueName=pipe.target_arn.rpartition(":")[2])["QueueUrl"]
            client.send_message(QueueUrl=url, MessageBody=payload)
        elif pipe.target_service == "events":
            return self._put_event(pipe, record, payload)
        else:
            # A function receives a batch, even of one.
            return self._invoke(pipe.target_arn, f"[{payload}]".encode()).function_error is None
        return True

    def _put_event(self, pipe: Pipe, record: dict[str, Any], payload: str) -> bool:
        parameters = pipe.target_parameters.get("EventBridgeEventBusParameters") or {}
        try:
            detail = payload if isinstance(json.loads(payload), dict) else json.dumps({"data": payload})
        except ValueError:
            detail = json.dumps({"data": payload})
        entry = {
            "EventBusName": pipe.target_arn,
            "Detail": detail,
            "DetailType": parameters.get("DetailType") or f"Event from {record.get('eventSource', 'aws:dynamodb')}",
            "Source": parameters.get("Source") or f"Pipe {pipe.name}",
            "Resources": parameters.get("Resources") or [],
        }
        return int(self._client("events").put_events(Entries=[entry])["FailedEntryCount"]) == 0

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._cloud.client(service, account=self.record.account, region=self.record.region)
        return self._clients[service]
