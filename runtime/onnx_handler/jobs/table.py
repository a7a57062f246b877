"""The DynamoDB table of the job records: how records are read, and changes written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from onnx_handler.aws import Clients, code_of, is_transient

from .lifecycle import QUEUED, Change, Record, Value, shard

if TYPE_CHECKING:
    from concurrent.futures import Executor

# A sparse index: only open jobs have its key, `open`.
OPEN_INDEX = "open-deadline"
STATEMENTS_PER_CALL = 25  # DynamoDB's limit for BatchExecuteStatement
KEYS_PER_CALL = 100  # and for BatchGetItem


class Outcome(NamedTuple):
    """What came of a change.

    Attributes:
        done: it was written.
        record: the record, if a condition did not hold; None if there is no record.
        error: set if it is not known whether the change was written.
    """

    done: bool
    record: Record | None = None
    error: Exception | None = None


class JobTable:
    """The table of the job records.

    Args:
        clients: for DynamoDB.
        name: the table's.
        pool: makes calls in parallel; None makes them one after the other.
    """

    def __init__(self, clients: Clients, name: str, pool: Executor | None = None) -> None:
        self._clients = clients
        self._name = name
        self._pool = pool

    def get(self, job: str) -> Record | None:
        """A job's record, read consistently."""
        answer = self._client.get_item(TableName=self._name, Key={"id": {"S": job}}, ConsistentRead=True)
        return _record(answer["Item"]) if "Item" in answer else None

    def get_many(self, jobs: Sequence[str]) -> dict[str, Record]:
        """Records by job id, read consistently; a job without a record is left out."""
        found: dict[str, Record] = {}
        distinct = list(dict.fromkeys(jobs))
        for first in range(0, len(distinct), KEYS_PER_CALL):
            asked: Any = {
                self._name: {
                    "Keys": [{"id": {"S": job}} for job in distinct[first : first + KEYS_PER_CALL]],
                    "ConsistentRead": True,
                }
            }
            while asked:  # an answer has at most 16 MB; what is left is asked for again
                answer = self._client.batch_get_item(RequestItems=asked)
                for item in answer["Responses"].get(self._name, ()):
                    record = _record(item)
                    found[record.id] = record
                asked = answer.get("UnprocessedKeys")
        return found

    def create(self, record: Record) -> Record | None:
        """Writes a new record; if the job has one already, returns that one and writes nothing."""
        try:
            self._client.put_item(
                TableName=self._name,
                Item=_item(record),
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Exception as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return _record(getattr(error, "response", {}).get("Item") or _item(record))
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
        """Writes one change. Does not raise: an error is in the outcome."""
        try:
            self._client.update_item(TableName=self._name, Key={"id": {"S": change.id}}, **_expressions(change))
        except Exception as error:
            if code_of(error) == "ConditionalCheckFailedException":
                item = getattr(error, "response", {}).get("Item")
                return Outcome(False, _record(item) if item else None)
            return Outcome(False, error=error)
        return Outcome(True)

    def change_all(self, changes: Sequence[Change]) -> list[Outcome]:
        """Writes several changes, each under its own condition, 25 in one call.

        A call with 25 changes costs this process as much time as two or three calls with one, and DynamoDB charges the
        same. A change that such a call could not write, because it was throttled, for example, is written again by
        itself, with the client's retries.
        """
        if len({change.id for change in changes}) < len(changes) or len(changes) < 2:
            return [self.change(change) for change in changes]
        chunks = [changes[at : at + STATEMENTS_PER_CALL] for at in range(0, len(changes), STATEMENTS_PER_CALL)]
        outcomes = [outcome for chunk in self._map(self._change_chunk, chunks) for outcome in chunk]
        left = [change for change, outcome in zip(changes, outcomes, strict=True) if outcome is None]
        singly = iter(list(self._map(self.change, left)))
        return [next(singly) if outcome is None else outcome for outcome in outcomes]

    def _change_chunk(self, changes: Sequence[Change]) -> list[Outcome | None]:
        """The outcomes of at most 25 changes; None for a change that is to be written again by itself."""
        try:
            answer = self._client.batch_execute_statement(
                Statements=[_statement(self._name, change) for change in changes]
            )
        except Exception as error:
            return [Outcome(False, error=error) if is_transient(error) else None for _ in changes]
        outcomes: list[Outcome | None] = []
        for response in answer["Responses"]:
            refusal = response.get("Error")
            if not refusal:
                outcomes.append(Outcome(True))
            elif refusal.get("Code") == "ConditionalCheckFailed":
                outcomes.append(Outcome(False, _record(refusal["Item"]) if refusal.get("Item") else None))
            else:
                outcomes.append(None)
        return outcomes

    def _map(self, function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterable[Any]:
        if self._pool is None or len(arguments) < 2:
            return map(function, arguments)
        return self._pool.map(function, arguments)

    def overdue(self, shard_number: int, now: int, most: int) -> Iterable[str]:
        """Ids of the open jobs past their deadline in one shard of the index, the oldest first."""
        answer: Any = {"LastEvaluatedKey": None}
        while most > 0 and "LastEvaluatedKey" in answer:
            after = answer["LastEvaluatedKey"]
            answer = self._client.query(
                TableName=self._name,
                IndexName=OPEN_INDEX,
                KeyConditionExpression="#o = :shard AND #d <= :now",
                ExpressionAttributeNames={"#o": "open", "#d": "deadline"},
                ExpressionAttributeValues={":shard": {"S": str(shard_number)}, ":now": {"N": str(now)}},
                Limit=min(most, 1000),
                **({"ExclusiveStartKey": after} if after else {}),
            )
            most -= len(answer["Items"])
            for item in answer["Items"]:
                yield item["id"]["S"]

    @property
    def _client(self) -> Any:
        return self._clients.get("dynamodb")


def _item(record: Record) -> dict[str, Any]:
    """A record as a DynamoDB item; empty attributes are left out."""
    attributes = {name: value for name, value in record._asdict().items() if value or name == "attempts"}
    if record.is_open:
        attributes["open"] = shard(record.id)
    return {name: _typed(value) for name, value in attributes.items()}


def _record(item: Mapping[str, Any]) -> Record:
    """The record in a DynamoDB item; attributes that this version does not know are ignored."""
    return Record(**{name: _plain(value) for name, value in item.items() if name in Record._fields})


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
    """The arguments of UpdateItem for a change."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def name(attribute: str) -> str:
        names[f"#{attribute}"] = attribute
        return f"#{attribute}"

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
    """The same change as a PartiQL statement."""
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
