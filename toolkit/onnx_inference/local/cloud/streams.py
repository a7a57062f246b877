"""The embedded cloud's table streams and pipes, as the twin's own pipes read them.

MiniStack has DynamoDB Streams, but its pipes know neither filters nor input templates nor event buses. So it only
keeps the pipes, with the properties that their template gives them, and the twin runs them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.cloud.patches import Patches, ministack
from onnx_inference.local.cloud.server import MiniStackServer

_PIPE = "AWS::Pipes::Pipe"

#: Where the properties that a pipe has in its template are kept in MiniStack's record of it.
_PROPERTIES = "TemplateProperties"


@dataclass(frozen=True)
class PipeRecord:
    """A pipe as deployed at one moment."""

    account: str
    region: str
    name: str
    arn: str
    running: bool
    properties: Mapping[str, Any]


class EmbeddedStreams:
    """Reads tables' streams and the records of pipes.

    Args:
        server: Where they are.
        patches: Switches off MiniStack's own pipes, and makes PartiQL statements write the tables' streams.
    """

    def __init__(self, server: MiniStackServer, patches: Patches) -> None:
        self._server = server
        self._dynamodb = ministack("services.dynamodb")
        self._pipes = ministack("services.pipes")
        patches.attribute(self._pipes, "_poll_once", lambda: None)
        patches.after_each_change(_PIPE, self._keep_properties)
        for name in ("insert", "update", "delete"):
            original = getattr(self._dynamodb, f"_partiql_{name}")
            replacement = _with_stream_records(original, self._dynamodb, inserts=name == "insert")
            patches.attribute(self._dynamodb, f"_partiql_{name}", replacement)

    def pipes(self) -> list[PipeRecord]:
        """Every pipe there is."""
        return [
            PipeRecord(
                account,
                region,
                name,
                record["Arn"],
                record.get("CurrentState") == "RUNNING",
                record.get(_PROPERTIES) or {"Source": record.get("Source"), "Target": record.get("Target")},
            )
            for (account, region, name), record in self._pipes._pipes.all_items()
        ]

    def records(self, stream_arn: str, position: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """The records of a table's stream from a position on.

        Returns:
            The position of the first record, which is later than asked for when older ones were dropped; the records.
        """
        account, region, table = _table_of(stream_arn)

        def read() -> tuple[int, list[dict[str, Any]]]:
            first = max(position, self._dynamodb.stream_start_position(table, account_id=account, region=region))
            found = self._dynamodb.stream_records_since(table, first, limit, account_id=account, region=region)
            return first, list(found)

        return self._server.run(read, account=account, region=region)

    def position(self, pipe: PipeRecord) -> int:
        """The position up to which a pipe has delivered."""
        return int(self._pipes._positions.get_scoped(pipe.account, pipe.region, pipe.arn, 0))

    def advance(self, pipe: PipeRecord, position: int) -> None:
        """Note the position up to which a pipe has delivered, unless the pipe is gone."""
        if self._pipes._pipes.get_scoped(pipe.account, pipe.region, pipe.name) is not None:
            self._pipes._positions.set_scoped(pipe.account, pipe.region, pipe.arn, position)

    def _keep_properties(self, name: str, properties: Mapping[str, Any]) -> None:
        self._pipes._pipes[name][_PROPERTIES] = dict(properties)


def _with_stream_records(statement: Callable[..., Any], dynamodb: Any, *, inserts: bool) -> Callable[..., Any]:
    """Let a PartiQL statement also write the table's stream, which MiniStack does not do.

    Args:
        statement: MiniStack's implementation of INSERT, UPDATE or DELETE.
        dynamodb: MiniStack's module of the service.
        inserts: Whether it is INSERT: that statement has the item instead of its key.
    """

    def items_of(table: Mapping[str, Any], parsed: Mapping[str, Any]) -> tuple[Any, Any] | None:
        """The partition and sort key of the item; None when the statement has none."""
        if not inserts:
            partition, sort, _, error = dynamodb._partiql_key_target(table, parsed)
            return None if error else (partition, sort)
        item = parsed.get("item") or {}
        item = item["M"] if isinstance(item, dict) and set(item) == {"M"} else item
        sort = dynamodb._extract_key_val(item.get(table["sk_name"])) if table["sk_name"] else "__no_sort__"
        return dynamodb._extract_key_val(item.get(table["pk_name"])), sort

    def execute(table: dict[str, Any], parsed: dict[str, Any], *arguments: Any) -> Any:
        key = items_of(table, parsed)
        old = None if key is None else table["items"].get(key[0], {}).get(key[1])
        answer = statement(table, parsed, *arguments)
        new = None if key is None else table["items"].get(key[0], {}).get(key[1])
        if answer[0] == 200 and old is not new:
            kind = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
            dynamodb._emit_stream_event(table["TableName"], kind, old, new)
        return answer

    return execute


def is_table_stream(arn: str) -> bool:
    """Whether an ARN is that of a table's stream."""
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] == "dynamodb" and "/stream/" in parts[5]


def _table_of(stream_arn: str) -> tuple[str, str, str]:
    _, _, _, region, account, resource = stream_arn.split(":", 5)
    return account, region, resource.split("/")[1]
