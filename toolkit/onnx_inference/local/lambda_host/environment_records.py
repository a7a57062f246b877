"""Records of execution environments: when they were made, busy and idle, and why they ended."""

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from onnx_inference.local.clock import Clock

ON_DEMAND, PROVISIONED, SNAP_START = "on-demand", "provisioned-concurrency", "snap-start"
#: Kinds of events: a request through an API, a ping of the warmer, or anything else.
REQUEST, PING, OTHER = "request", "ping", "other"

IDLE_EXPIRY, REPLACED, SCALED_IN, STOPPED = "idle expiry", "replaced", "scaled in", "stopped"
TIMED_OUT, OUT_OF_MEMORY, EXITED, INIT_FAILED = "timeout", "out of memory", "exited", "init failed"

_KEPT = 10_000


@dataclass(frozen=True)
class BusySpan:
    """One event that an environment served. Times are on the twin's clock; `duration_ms` is this machine's time.

    Attributes:
        request_id: The invocation's request id.
        kind: `request`, `ping` or `other`.
        cold: Whether the environment was made or restored for it.
        started_at: When the environment received the event, after its init phase or restore.
        ended_at: When it had answered; None before that.
        duration_ms: How long the handler took.
        status: As in `InvocationRecord`; `running` until it has answered.
    """

    request_id: str
    kind: str
    cold: bool
    started_at: datetime
    ended_at: datetime | None = None
    duration_ms: float | None = None
    status: str = "running"


@dataclass(frozen=True)
class IdleSpan:
    """A time in which an environment was ready and served nothing; `ended_at` is None while it lasts."""

    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class EnvironmentRecord:
    """The life of one execution environment so far. Times are on the twin's clock, durations are this machine's.

    Attributes:
        id: Unique; the end of the log stream's name.
        function_name: The function.
        function_version: Its version.
        log_stream: AWS_LAMBDA_LOG_STREAM_NAME.
        initialization_type: `on-demand`, `provisioned-concurrency` or `snap-start`.
        provisioned_for: The alias or version whose provisioned concurrency it is part of.
        created_at: When its process was started.
        init_duration_ms: How long the init phase took; None until it is over.
        restore_started_at: SnapStart: when it began to be restored from its snapshot; None before that.
        restore_duration_ms: SnapStart: how long the restore took, hooks included; None before it.
        ready_at: When it could first serve: after the init phase, with SnapStart after the restore.
        busy: The events that it served, in order.
        ended_at: When it was stopped; None before that.
        end_cause: `idle expiry`, `replaced`, `scaled in`, `stopped`, `timeout`, `out of memory`, `exited` or
            `init failed`.
    """

    id: str
    function_name: str
    function_version: str
    log_stream: str
    initialization_type: str
    provisioned_for: str | None
    created_at: datetime
    init_duration_ms: float | None = None
    restore_started_at: datetime | None = None
    restore_duration_ms: float | None = None
    ready_at: datetime | None = None
    busy: tuple[BusySpan, ...] = ()
    ended_at: datetime | None = None
    end_cause: str | None = None

    @property
    def state(self) -> str:
        """`initialising`, `snapshot` (initialised ahead, not restored yet), `idle`, `busy` or `ended`."""
        if self.ended_at is not None:
            return "ended"
        if self.ready_at is None:
            return "snapshot" if self.init_duration_ms is not None else "initialising"
        return "busy" if self.busy and self.busy[-1].ended_at is None else "idle"

    @property
    def idle(self) -> tuple[IdleSpan, ...]:
        """The times in which it was ready and served nothing."""
        if self.ready_at is None:
            return ()
        spans = []
        since: datetime | None = self.ready_at
        for span in self.busy:
            if since is not None and span.started_at > since:
                spans.append(IdleSpan(since, span.started_at))
            since = span.ended_at
        if since is not None and (self.ended_at is None or self.ended_at > since):
            spans.append(IdleSpan(since, self.ended_at))
        return tuple(spans)

    @property
    def cold_starts(self) -> int:
        """1 when an event had to wait for this environment, else 0."""
        return sum(span.cold for span in self.busy)


class EnvironmentLife:
    """Writes one environment's record. Safe to use from many threads."""

    def __init__(self, clock: Clock, record: EnvironmentRecord) -> None:
        self._clock = clock
        self._record = record
        self._busy: list[BusySpan] = []
        self._lock = threading.Lock()

    def initialised(self, duration_ms: float, *, ready: bool) -> None:
        """The init phase is over. `ready` is false when it has to be restored before it can serve."""
        with self._lock:
            at = self._clock.now() if ready else None
            self._record = replace(self._record, init_duration_ms=duration_ms, ready_at=at)

    def restoring(self) -> None:
        """Its restore from the snapshot begins."""
        with self._lock:
            self._record = replace(self._record, restore_started_at=self._clock.now())

    def restored(self, duration_ms: float) -> None:
        """The restore is over."""
        with self._lock:
            self._record = replace(self._record, restore_duration_ms=duration_ms, ready_at=self._clock.now())

    def serves(self, request_id: str, kind: str, *, cold: bool) -> None:
        """It received an event."""
        with self._lock:
            self._busy.append(BusySpan(request_id, kind, cold, self._clock.now()))

    def served(self, duration_ms: float, status: str) -> None:
        """It has answered, or failed."""
        with self._lock:
            span = self._busy[-1]
            self._busy[-1] = replace(span, ended_at=self._clock.now(), duration_ms=duration_ms, status=status)

    def ended(self, cause: str) -> None:
        """It was stopped; the first cause stays."""
        with self._lock:
            if self._record.ended_at is not None:
                return
            now = self._clock.now()
            if self._busy and self._busy[-1].ended_at is None:
                self._busy[-1] = replace(self._busy[-1], ended_at=now, status=cause)
            self._record = replace(self._record, ended_at=now, end_cause=cause)

    def record(self) -> EnvironmentRecord:
        """The record so far."""
        with self._lock:
            return replace(self._record, busy=tuple(self._busy))


@dataclass(frozen=True)
class Throttle:
    """An invocation that was refused because the reserved concurrency was used up.

    `at` is on the twin's clock; `qualifier` is the invoked alias or version.
    """

    function_name: str
    at: datetime
    qualifier: str | None = None


@dataclass
class EnvironmentLedger:
    """The records of all environments of a host."""

    clock: Clock = field(default_factory=Clock)
    _lives: "deque[EnvironmentLife]" = field(init=False, default_factory=lambda: deque(maxlen=_KEPT))
    _throttles: "deque[Throttle]" = field(init=False, default_factory=lambda: deque(maxlen=_KEPT))

    def open(
        self, function_name: str, version: str, log_stream: str, initialization_type: str, provisioned_for: str | None
    ) -> EnvironmentLife:
        """Begin the record of an environment that is about to be started."""
        record = EnvironmentRecord(
            id=log_stream[-32:],
            function_name=function_name,
            function_version=version,
            log_stream=log_stream,
            initialization_type=initialization_type,
            provisioned_for=provisioned_for,
            created_at=self.clock.now(),
        )
        life = EnvironmentLife(self.clock, record)
        self._lives.append(life)
        return life

    def throttled(self, function_name: str, qualifier: str | None = None) -> None:
        """Note a refused invocation, of this alias or version."""
        self._throttles.append(Throttle(function_name, self.clock.now(), qualifier))

    def records(self, function_name: str | None = None) -> list[EnvironmentRecord]:
        """The lives so far, oldest first; of one function when it is named."""
        records = [life.record() for life in list(self._lives)]
        return [record for record in records if function_name in (None, record.function_name)]

    def throttles(self, function_name: str | None = None) -> list[Throttle]:
        """The refused invocations, oldest first; of one function when it is named."""
        return [entry for entry in list(self._throttles) if function_name in (None, entry.function_name)]
