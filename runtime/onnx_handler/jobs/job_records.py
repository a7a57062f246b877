"""Job records: what a job's item in the table holds, and how its status changes.

    (absent) -> QUEUED -> RUNNING -> SUCCEEDED | FAILED | EXPIRED | CANCELLED
                            RUNNING again: another attempt, after one that ended without an answer
    FAILED -> QUEUED        only by the message that was parked when the job failed

Every change is a conditional write, so it happens once, whoever tries it and however often: a status that is final
stays as it is. `docs/job-protocol.md` has the record and what each failure ends in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from onnx_handler.aws import Clients, code_of, is_transient

if TYPE_CHECKING:
    from concurrent.futures import Executor

QUEUED, RUNNING = "QUEUED", "RUNNING"
SUCCEEDED, FAILED, EXPIRED, CANCELLED = "SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED"
OPEN = (QUEUED, RUNNING)

# The sparse index of open jobs. One partition of it takes 1,000 writes a second, and a job writes it twice.
OPEN_INDEX = "open-deadline"
OPEN_SHARDS = 8

STATEMENTS_PER_CALL = 25  # DynamoDB's BatchExecuteStatement
KEYS_PER_CALL = 100  # BatchGetItem
LONGEST_ERROR = 2000  # characters

Value = str | int | bytes | dict[str, str]


class Record(NamedTuple):
    """A job, as its item in the table has it. Times are milliseconds since the epoch, but for `expires_at`.

    Attributes:
        id: the job's.
        model: the model's name; empty where the message was unreadable.
        version: the version that was asked for; empty for the newest.
        status: one of the names above.
        created_at: when it was submitted.
        updated_at: when the status changed last.
        deadline: when an open job expires.
        expires_at: when DynamoDB may delete the item, in seconds.
        attempts: how often it was started.
        fingerprint: of the request; empty where the job was put on the queue with a body in S3.
        error: why it is not SUCCEEDED, in words.
        last_error: of an attempt that is to be repeated.
        result: the answer's body, where it is small.
        result_headers: the answer's headers.
        result_uri: where a larger body is.
        parked: names the message that may revive a failed job.
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
        """Whether it is past its deadline and nobody has written so yet."""
        return self.is_open and self.deadline <= now

    def item(self) -> dict[str, Any]:
        """The DynamoDB item; members that say nothing are left out."""
        members = {name: value for name, value in self._asdict().items() if value or name == "attempts"}
        if self.is_open:
            members["open"] = shard(self.id)
        return {name: _typed(value) for name, value in members.items()}

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Record:
        """The record in a DynamoDB item; members that this version does not know are ignored."""
        return cls(**{name: _plain(value) for name, value in item.items() if name in cls._fields})

    def overdue(self, now: int) -> Record:
        """The record as it reads past its deadline."""
        return self._replace(status=EXPIRED, error=_overdue_error(self), updated_at=now)


class Change(NamedTuple):
    """A conditional write to one record.

    Attributes:
        id: of the job.
        sets: attributes to write.
        removes: attributes to delete.
        before: what the status must be.
        conditions: further (attribute, operator, value) that must hold.
    """

    id: str
    sets: dict[str, Value]
    removes: tuple[str, ...]
    before: tuple[str, ...]
    conditions: tuple[tuple[str, str, Value], ...] = ()


class Outcome(NamedTuple):
    """What became of a change.

    Attributes:
        done: it was written.
        record: where a condition did not hold, the record that stood against it; None if there is none.
        error: where it is not known, why.
    """

    done: bool
    record: Record | None = None
    error: Exception | None = None


def start(job: str, attempt: int, now: int) -> Change:
    """QUEUED or RUNNING -> RUNNING, before the deadline."""
    sets: dict[str, Value] = {"status": RUNNING, "attempts": attempt, "updated_at": now}
    return Change(job, sets, ("last_error",), OPEN, (("deadline", ">", now),))


def succeed(job: str, now: int, result: Mapping[str, Value]) -> Change:
    """An open job -> SUCCEEDED, with `result` and `result_headers`, or `result_uri` too."""
    return Change(job, {"status": SUCCEEDED, "updated_at": now, **result}, ("open", "last_error"), OPEN)


def fail(job: str, now: int, error: str, parked: str = "") -> Change:
    """An open job -> FAILED; `parked` names the message that may revive it."""
    sets: dict[str, Value] = {"status": FAILED, "updated_at": now, "error": _short(error)}
    return Change(job, sets | ({"parked": parked} if parked else {}), ("open", "last_error"), OPEN)


def expire(record: Record, now: int) -> Change:
    """An open job that is past its deadline -> EXPIRED."""
    sets: dict[str, Value] = {"status": EXPIRED, "updated_at": now, "error": _short(_overdue_error(record))}
    return Change(record.id, sets, ("open",), OPEN, (("deadline", "<=", now),))


def cancel(job: str, now: int) -> Change:
    """An open job -> CANCELLED; a worker that has it drops its result."""
    sets: dict[str, Value] = {"status": CANCELLED, "updated_at": now, "error": "the job was cancelled"}
    return Change(job, sets, ("open", "last_error"), OPEN, (("deadline", ">", now),))


def revive(job: str, parked: str, now: int, deadline: int, expires_at: int) -> Change:
    """A failed job -> QUEUED, by the message that was parked for it, and only once."""
    sets: dict[str, Value] = {
        "status": QUEUED,
        "updated_at": now,
        "deadline": deadline,
        "expires_at": expires_at,
        "open": shard(job),
    }
    return Change(job, sets, ("error", "parked"), (FAILED,), (("parked", "=", parked),))


def note(job: str, error: str) -> Change:
    """Leaves on an open job why an attempt failed that will be repeated."""
    return Change(job, {"last_error": _short(error)}, (), OPEN)


class JobTable:
    """The table with the records.

    Args:
        clients: for DynamoDB.
        name: the table's.
        pool: for calls side by side; None makes them one after the other.
    """

    def __init__(self, clients: Clients, name: str, pool: Executor | None = None) -> None:
        self._clients = clients
        self._name = name
        self._pool = pool

    def get(self, job: str, *, consistent: bool = True) -> Record | None:
        """A job's record."""
        answer = self._client.get_item(TableName=self._name, Key={"id": {"S": job}}, ConsistentRead=consistent)
        return Record.of(answer["Item"]) if "Item" in answer else None

    def get_many(self, jobs: Sequence[str]) -> dict[str, Record]:
        """The records of some jobs by id; jobs without one are left out."""
        found: dict[str, Record] = {}
        distinct = list(dict.fromkeys(jobs))
        for first in range(0, len(distinct), KEYS_PER_CALL):
            asked: Any = {
                self._name: {
                    "Keys": [{"id": {"S": job}} for job in distinct[first : first + KEYS_PER_CALL]],
                    "ConsistentRead": True,
                }
            }
            while asked:  # what does not fit into 16 MB comes the next time
                answer = self._client.batch_get_item(RequestItems=asked)
                for item in answer["Responses"].get(self._name, ()):
                    record = Record.of(item)
                    found[record.id] = record
                asked = answer.get("UnprocessedKeys")
        return found

    def create(self, record: Record) -> Record | None:
        """Writes a new record, or returns the one that is there."""
        try:
            self._client.put_item(
                TableName=self._name,
                Item=record.item(),
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Exception as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return Record.of(getattr(error, "response", {}).get("Item") or record.item())
        return None

    def forget(self, job: str) -> None:
        """Deletes the record of a job that could not be queued."""
        try:
            self._client.delete_item(
                TableName=self._name,
                Key={"id": {"S": job}},
                ConditionExpression="#s = :queued",
                ExpressionAttributeNames={"#s": "status"},
                ExpressionAttributeValues={":queued": {"S": QUEUED}},
            )
        except Exception as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    def change(self, change: Change) -> Outcome:
        """Writes one change. Errors that pass are the outcome's."""
        try:
            self._client.update_item(TableName=self._name, Key={"id": {"S": change.id}}, **_expressions(change))
        except Exception as error:
            if code_of(error) == "ConditionalCheckFailedException":
                item = getattr(error, "response", {}).get("Item")
                return Outcome(False, Record.of(item) if item else None)
            return Outcome(False, error=error)
        return Outcome(True)

    def change_all(self, changes: Sequence[Change]) -> list[Outcome]:
        """Writes changes, each under its own condition, 25 in one call.

        A call of 25 costs this process as much time as two or three of one, and DynamoDB charges the same. A change
        that a call did not get through, because it was throttled, say, is written by itself, with the client's retries.
        """
        if len({change.id for change in changes}) < len(changes) or len(changes) < 2:
            return [self.change(change) for change in changes]
        chunks = [changes[at : at + STATEMENTS_PER_CALL] for at in range(0, len(changes), STATEMENTS_PER_CALL)]
        told = [outcome for chunk in self._map(self._change_chunk, chunks) for outcome in chunk]
        left = [change for change, outcome in zip(changes, told, strict=True) if outcome is None]
        singly = iter(list(self._map(self.change, left)))
        return [next(singly) if outcome is None else outcome for outcome in told]

    def _change_chunk(self, changes: Sequence[Change]) -> list[Outcome | None]:
        """What became of at most 25 changes; None of those that are to be tried by themselves."""
        try:
            answer = self._client.batch_execute_statement(
                Statements=[_statement(self._name, change) for change in changes]
            )
        except Exception as error:
            return [Outcome(False, error=error) if is_transient(error) else None for _ in changes]
        outcomes: list[Outcome | None] = []
        for told in answer["Responses"]:
            refusal = told.get("Error")
            if not refusal:
                outcomes.append(Outcome(True))
            elif refusal.get("Code") == "ConditionalCheckFailed":
                outcomes.append(Outcome(False, Record.of(refusal["Item"]) if refusal.get("Item") else None))
            else:
                outcomes.append(None)
        return outcomes

    def _map(self, function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterable[Any]:
        if self._pool is None or len(arguments) < 2:
            return map(function, arguments)
        return self._pool.map(function, arguments)

    def overdue(self, part: int, now: int, most: int) -> Iterable[str]:
        """Ids of open jobs past their deadline, the oldest first, in one shard of the index."""
        answer: Any = {"LastEvaluatedKey": None}
        while most > 0 and "LastEvaluatedKey" in answer:
            after = answer["LastEvaluatedKey"]
            answer = self._client.query(
                TableName=self._name,
                IndexName=OPEN_INDEX,
                KeyConditionExpression="#o = :shard AND #d <= :now",
                ExpressionAttributeNames={"#o": "open", "#d": "deadline"},
                ExpressionAttributeValues={":shard": {"S": str(part)}, ":now": {"N": str(now)}},
                Limit=min(most, 1000),
                **({"ExclusiveStartKey": after} if after else {}),
            )
            most -= len(answer["Items"])
            for item in answer["Items"]:
                yield item["id"]["S"]

    @property
    def _client(self) -> Any:
        return self._clients.get("dynamodb")


def now() -> int:
    """Milliseconds since the epoch."""
    return int(time() * 1000)


def shard(job: str) -> str:
    """The partition of the index of open jobs that a job is in."""
    return str(crc32(job.encode("utf-8", "surrogatepass")) % OPEN_SHARDS)


def fingerprint(model: str, version: str | None, header_length: str | None, body: bytes) -> str:
    """What makes two requests the same: the model, the version that was asked for, and the body, decoded."""
    digest = hashlib.sha256()
    for part in (model, version or "", header_length or ""):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(body)
    return digest.hexdigest()


def _overdue_error(record: Record) -> str:
    text = "the job was not done by its deadline"
    if record.created_at and record.deadline > record.created_at:
        text += f", {(record.deadline - record.created_at) / 1000:g} s after its submission"
    return f"{text}; its last attempt: {record.last_error}" if record.last_error else text


def _short(error: str) -> str:
    error = error.encode("utf-8", "replace").decode()  # half a surrogate pair is no string of DynamoDB's
    return error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}... ({len(error)} characters)"


def _typed(value: Value) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case _:
            return {"M": {name: {"S": text} for name, text in value.items()}}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content)
        case "M":
            return {name: _plain(text) for name, text in content.items()}
        case _:
            return content


def _expressions(change: Change) -> dict[str, Any]:
    """A change as UpdateItem takes it."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def name(attribute: str) -> str:
        return names.setdefault(f"#{attribute}", attribute) and f"#{attribute}"

    def value(content: Value) -> str:
        values[f":{len(values)}"] = _typed(content)
        return f":{len(values) - 1}"

    update = "SET " + ", ".join(f"{name(attribute)} = {value(content)}" for attribute, content in change.sets.items())
    if change.removes:
        update += " REMOVE " + ", ".join(map(name, change.removes))
    conditions = [f"{name('status')} IN ({', '.join(map(value, change.before))})"]
    conditions += [f"{name(attribute)} {operator} {value(than)}" for attribute, operator, than in change.conditions]
    return {
        "UpdateExpression": update,
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _statement(table: str, change: Change) -> dict[str, Any]:
    """The same change as PartiQL."""
    text = f'UPDATE "{table}"' + "".join(f' SET "{attribute}" = ?' for attribute in change.sets)
    text += "".join(f' REMOVE "{attribute}"' for attribute in change.removes)
    text += f' WHERE "id" = ? AND "status" IN [{", ".join("?" for _ in change.before)}]'
    text += "".join(f' AND "{attribute}" {operator} ?' for attribute, operator, _ in change.conditions)
    parameters = [*change.sets.values(), change.id, *change.before, *(than for _, _, than in change.conditions)]
    return {
        "Statement": text,
        "Parameters": [_typed(parameter) for parameter in parameters],
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
