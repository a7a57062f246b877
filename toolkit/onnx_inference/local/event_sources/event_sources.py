"""Runs the deployed event source mappings and pipes: starts them, follows their changes, and ends them."""

import contextlib
import functools
import logging
import threading
import time
from dataclasses import dataclass, field

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.event_sources.event_counts import EventCounts
from onnx_inference.local.event_sources.event_pattern import UnknownPattern
from onnx_inference.local.event_sources.event_source_mapping import QueueMapping, is_queue
from onnx_inference.local.event_sources.pipe import Pipe, UnknownPipe
from onnx_inference.local.event_sources.pipe_runner import PipeRunner
from onnx_inference.local.event_sources.queue_poller import Invoke, QueuePoller

_logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.25
#: 300 a minute.
_ADDED_POLLERS_PER_SECOND = 5


@dataclass(frozen=True)
class EventSource:
    """One event source mapping or pipe, and what it did so far.

    Attributes:
        source: The ARN of the queue or stream.
        target: The ARN of the target: a function with its alias, a topic, an event bus or a queue.
        note: Why it does not run; None when it does.
        received: Messages or records that were received.
        batches: Invocations for them, or attempts to send a record.
        deleted: Messages that succeeded and were deleted, or records that were delivered.
        failed: Messages that failed and become visible again, or attempts that the target refused.
        filtered: Messages or records that no filter let pass.
        throttled: Invocations that were refused because of the function's concurrency.
    """

    source: str
    target: str
    note: str | None
    received: int = 0
    batches: int = 0
    deleted: int = 0
    failed: int = 0
    filtered: int = 0
    throttled: int = 0


@dataclass
class _Running:
    """The pollers of one mapping."""

    counts: EventCounts = field(default_factory=EventCounts)
    pollers: list[QueuePoller] = field(default_factory=list)
    grown_at: float = field(default_factory=time.monotonic)


class EventSources:
    """Runs the event source mappings and pipes that the embedded cloud holds.

    Args:
        cloud: The running cloud.
        invoke: Invokes a function.
        most_pollers: How many pollers a mapping may have on this machine; never less than those it starts with.
    """

    def __init__(self, cloud: EmbeddedCloud, invoke: Invoke, *, most_pollers: int) -> None:
        self._cloud = cloud
        self._invoke = invoke
        self._most_pollers = most_pollers
        self._queues = cloud.queues
        self._running: dict[str, _Running] = {}
        self._pipes: dict[str, PipeRunner] = {}
        self._notes: dict[str, EventSource] = {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name="event-sources", daemon=True)
        self._supervisor.start()

    # -- life ---------------------------------------------------------------------------------------------------

    def stop_taking(self) -> None:
        """Receive nothing more. Running invocations are not waited for: see `join`."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until everything has ended."""
        self._supervisor.join(timeout=10)
        with self._lock:
            threads: list[threading.Thread] = [
                poller for running in self._running.values() for poller in running.pollers
            ]
            threads += list(self._pipes.values())
        for thread in threads:
            thread.join(timeout=10)

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(RuntimeError):  # the cloud is stopping
                self.refresh()
            self._stopping.wait(_TICK_SECONDS)

    def refresh(self) -> None:
        """Run what is deployed now, and end what is gone."""
        with self._lock:
            if self._stopping.is_set():
                return
            notes: dict[str, EventSource] = {}
            mappings = self._mappings(notes)
            for mapping in mappings.values():
                self._run(mapping)
            for gone in self._running.keys() - mappings.keys():
                del self._running[gone]
            self._run_pipes(notes)
            for name in notes.keys() - self._notes.keys():
                _logger.warning("%s is not run: %s", notes[name].source, notes[name].note)
            self._notes = notes

    # -- mappings -----------------------------------------------------------------------------------------------

    def _mappings(self, notes: dict[str, EventSource]) -> dict[str, QueueMapping]:
        mappings = {}
        for record in self._cloud.functions.event_source_mappings():
            if not is_queue(str(record.get("EventSourceArn", ""))):
                continue  # of streams: the embedded cloud's own pollers run them
            try:
                mapping = QueueMapping.from_record(record)
            except UnknownPattern as error:
                notes[record["UUID"]] = EventSource(record["EventSourceArn"], record["FunctionArn"], str(error))
                continue
            mappings[mapping.mapping_id] = mapping
        return mappings

    def _current(self, mapping_id: str) -> QueueMapping | None:
        for record in self._cloud.functions.event_source_mappings():
            if record["UUID"] == mapping_id:
                try:
                    return QueueMapping.from_record(record)
                except UnknownPattern:
                    return None
        return None

    def _run(self, mapping: QueueMapping) -> None:
        running = self._running.setdefault(mapping.mapping_id, _Running())
        running.pollers = [poller for poller in running.pollers if poller.is_alive()]
        wanted = mapping.first_pollers
        most = min(mapping.most_pollers, max(wanted, self._most_pollers))
        now = time.monotonic()
        if len(running.pollers) >= wanted and all(poller.busy for poller in running.pollers):
            grown = len(running.pollers) + int((now - running.grown_at) * _ADDED_POLLERS_PER_SECOND)
            wanted = min(most, grown)
        if len(running.pollers) < wanted or not all(poller.busy for poller in running.pollers):
            running.grown_at = now
        for number in range(len(running.pollers), wanted):
            poller = QueuePoller(
                f"poller-{mapping.queue_arn.rpartition(':')[2][:40]}-{number}",
                current=functools.partial(self._current, mapping.mapping_id),
                queues=self._queues,
                invoke=self._invoke,
                counts=running.counts,
                stopping=self._stopping,
            )
            running.pollers.append(poller)
            poller.start()

    # -- pipes --------------------------------------------------------------------------------------------------

    def _run_pipes(self, notes: dict[str, EventSource]) -> None:
        streams = self._cloud.streams
        present = set()
        for record in streams.pipes():
            try:
                pipe = Pipe.from_record(record)
            except (UnknownPattern, UnknownPipe) as error:
                properties = record.properties
                notes[record.arn] = EventSource(
                    str(properties.get("Source")), str(properties.get("Target")), f"pipe {record.name}: {error}"
                )
                continue
            present.add(record.arn)
            runner = self._pipes.get(record.arn)
            if runner is None or not runner.is_alive():
                runner = PipeRunner(pipe, record, self._cloud, self._invoke, self._stopping)
                self._pipes[record.arn] = runner
                runner.start()
            else:
                runner.follow(pipe, record)
        for gone in self._pipes.keys() - present:
            self._pipes.pop(gone).end()

    # -- what runs ----------------------------------------------------------------------------------------------

    def sources(self) -> list[EventSource]:
        """Every event source mapping of a queue and every pipe there is, those that do not run last."""
        found = []
        with self._lock:
            mappings = self._mappings({})
            for mapping_id, running in self._running.items():
                if (mapping := mappings.get(mapping_id)) is not None:
                    note = None if mapping.enabled else "disabled"
                    found.append(EventSource(mapping.queue_arn, mapping.function_arn, note, **running.counts.so_far()))
            for runner in self._pipes.values():
                note = None if runner.record.running else "stopped"
                pipe = runner.pipe
                found.append(EventSource(pipe.stream_arn, pipe.target_arn, note, **runner.counts.so_far()))
            return found + list(self._notes.values())
