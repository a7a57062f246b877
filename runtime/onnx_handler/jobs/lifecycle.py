"""The life of a job: its record, and how its status may change.

    (absent) -> QUEUED -> RUNNING -> SUCCEEDED | FAILED | EXPIRED | CANCELLED
                            RUNNING again: another attempt, after one that ended without an answer
    FAILED -> QUEUED        only by the message that was parked when the job failed

Every change is a conditional write: several functions may try the same change, and it happens once. A final status
does not change again. `docs/job-protocol.md` describes the record and what each failure leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import NamedTuple
from zlib import crc32

QUEUED, RUNNING = "QUEUED", "RUNNING"
SUCCEEDED, FAILED, EXPIRED, CANCELLED = "SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED"
OPEN = (QUEUED, RUNNING)

# Partitions of the index of open jobs. Each takes 1,000 writes a second, and a job writes to the index twice.
OPEN_SHARDS = 8
LONGEST_ERROR = 2000  # characters

Value = str | int | bytes | dict[str, str]


class Record(NamedTuple):
    """A job, as the table has it. Times are in milliseconds since the epoch, except `expires_at`.

    Attributes:
        id: the job's id.
        model: the model's name; empty if the message could not be read.
        version: the version that was asked for; empty for the newest.
        status: one of the statuses above.
        created_at: when the job was submitted.
        updated_at: when the status changed last.
        deadline: when an open job expires.
        expires_at: when DynamoDB may delete the item, in seconds since the epoch.
        attempts: how often the job was started.
        fingerprint: of the request; empty for a job that was put on the queue directly, with its body in S3.
        error: why the job did not succeed.
        last_error: why the last attempt failed, while another one is to follow.
        result: the body of the answer, if it is small.
        result_headers: the headers of the answer.
        result_uri: where a larger body is stored.
        parked: id of the parked message that may revive a failed job.
    """

    id: str
    model: str = ""
    version: str = ""
    status: str = QUEUED
    created_at: int = 0
    updated_at: int = 0
    deadline: int = 0
    expires_at: int = 0
    attempts: int = 0
    fingerprint: str = ""
    error: str = ""
    last_error: str = ""
    result: bytes | None = None
    result_headers: dict[str, str] | None = None
    result_uri: str = ""
    parked: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its status may still change."""
        return self.status in OPEN

    def is_overdue(self, now: int) -> bool:
        """Whether it is past its deadline, and not yet EXPIRED in the table."""
        return self.is_open and self.deadline <= now

    def expired(self, now: int) -> Record:
        """The record with the status EXPIRED."""
        return self._replace(status=EXPIRED, error=_overdue_error(self), updated_at=now)


class Change(NamedTuple):
    """A conditional write to one record.

    Attributes:
        id: of the job.
        sets: attributes to write.
        removes: attributes to delete.
        before: statuses that allow the change.
        conditions: further conditions: (attribute, operator, value).
    """

    id: str
    sets: dict[str, Value]
    removes: tuple[str, ...]
    before: tuple[str, ...]
    conditions: tuple[tuple[str, str, Value], ...] = ()


def start(job: str, attempt: int, now: int) -> Change:
    """QUEUED or RUNNING -> RUNNING, before the deadline."""
    sets: dict[str, Value] = {"status": RUNNING, "attempts": attempt, "updated_at": now}
    return Change(job, sets, ("last_error",), OPEN, (("deadline", ">", now),))


def succeed(job: str, now: int, result: Mapping[str, Value]) -> Change:
    """An open job -> SUCCEEDED; `result` has `result_headers`, and `result` or `result_uri`."""
    return Change(job, {"status": SUCCEEDED, "updated_at": now, **result}, ("open", "last_error"), OPEN)


def fail(job: str, now: int, error: str, parked: str = "") -> Change:
    """An open job -> FAILED; `parked` is the id of the message that may revive it."""
    sets: dict[str, Value] = {"status": FAILED, "updated_at": now, "error": _short(error)}
    return Change(job, sets | ({"parked": parked} if parked else {}), ("open", "last_error"), OPEN)


def expire(record: Record, now: int) -> Change:
    """An open job that is past its deadline -> EXPIRED."""
    sets: dict[str, Value] = {"status": EXPIRED, "updated_at": now, "error": _short(_overdue_error(record))}
    return Change(record.id, sets, ("open",), OPEN, (("deadline", "<=", now),))


def cancel(job: str, now: int) -> Change:
    """An open job -> CANCELLED; a worker that is running it drops its result."""
    sets: dict[str, Value] = {"status": CANCELLED, "updated_at": now, "error": "the job was cancelled"}
    return Change(job, sets, ("open", "last_error"), OPEN, (("deadline", ">", now),))


def revive(job: str, parked: str, now: int, deadline: int, expires_at: int) -> Change:
    """A failed job -> QUEUED, only once, and only by the message that was parked for it."""
    sets: dict[str, Value] = {
        "status": QUEUED,
        "updated_at": now,
        "deadline": deadline,
        "expires_at": expires_at,
        "open": shard(job),
    }
    return Change(job, sets, ("error", "parked"), (FAILED,), (("parked", "=", parked),))


def note(job: str, error: str) -> Change:
    """Writes on an open job why its attempt failed; another attempt follows."""
    return Change(job, {"last_error": _short(error)}, (), OPEN)


def now() -> int:
    """Milliseconds since the epoch."""
    return int(time() * 1000)


def shard(job: str) -> str:
    """The job's partition in the index of open jobs."""
    return str(crc32(job.encode("utf-8", "surrogatepass")) % OPEN_SHARDS)


def _overdue_error(record: Record) -> str:
    text = "the job was not done by its deadline"
    if record.created_at and record.deadline > record.created_at:
        text += f", {(record.deadline - record.created_at) / 1000:g} s after its submission"
    return f"{text}; its last attempt: {record.last_error}" if record.last_error else text


def _short(error: str) -> str:
    error = error.encode("utf-8", "replace").decode()  # DynamoDB takes no string with half a surrogate pair
    return error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}... ({len(error)} characters)"
