from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from constructs import Construct

from cdk_onnx_inference.testing import StatefulIdentityChanged, check, identities, record

from .conftest import Build, function, table

Made = Callable[[Build], dict[str, Any]]


def test_what_makes_a_table_this_one(template: Made) -> None:
    (name,) = found = identities(template(table))
    assert name.startswith("Table")
    assert found[name].type == "AWS::DynamoDB::GlobalTable"
    assert found[name].replacing == {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
    assert (found[name].deletion_policy, found[name].update_replace_policy) == ("Retain", "Retain")


def test_of_a_function_only_the_logs_hold_data(template: Made) -> None:
    assert [found.type for found in identities(template(function)).values()] == ["AWS::Logs::LogGroup"]


def test_the_same_again(template: Made, tmp_path: Path) -> None:
    file = tmp_path / "stateful_ids.json"
    record({"Shop": template(table)}, file, reason="the first")
    check({"Shop": template(table)}, file)


def nested(stack: Stack) -> None:
    table(Construct(stack, "Storage"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (table, lambda stack: table(stack, "Renamed"), ("left behind with its data", "was a construct's id changed")),
        (table, nested, ("left behind with its data", "StorageTable", "moved?")),
        (lambda stack: table(stack, retain=False), function, ("would be DELETED, with its data",)),
        (table, lambda stack: table(stack, key="job"), ("REPLACED by an empty one", "KeySchema", '"job"')),
        (table, lambda stack: table(stack, retain=False), ("from Retain to Delete",)),
        (function, table, ("is new: record it",)),
    ],
)
def test_a_change(template: Made, tmp_path: Path, before: Build, after: Build, said: tuple[str, ...]) -> None:
    file = tmp_path / "stateful_ids.json"
    record({"Shop": template(before)}, file, reason="the first")
    with pytest.raises(StatefulIdentityChanged) as raised:
        check({"Shop": template(after)}, file)
    assert "Table" in str(raised.value)
    assert all(text in str(raised.value) for text in said), raised.value
    record({"Shop": template(after)}, file, reason="the table was empty")
    check({"Shop": template(after)}, file)
    assert [entry["reason"] for entry in json.loads(file.read_text())["reasons"]] == [
        "the first",
        "the table was empty",
    ]


def test_a_stack_that_is_gone_or_new(template: Made, tmp_path: Path) -> None:
    file = tmp_path / "stateful_ids.json"
    record({"Shop": template(table)}, file, reason="the first")
    with pytest.raises(StatefulIdentityChanged, match=r"(?s)stack Office is new.*stack Shop is gone, with Table"):
        check({"Office": template(table)}, file)


def test_no_file_and_no_reason(template: Made, tmp_path: Path) -> None:
    file = tmp_path / "stateful_ids.json"
    made = {"Shop": template(table)}
    with pytest.raises(StatefulIdentityChanged, match="does not exist"):
        check(made, file)
    with pytest.raises(ValueError, match="reason is blank"):
        record(made, file, reason=" ")
    record(made, file, reason="the first")
    document = json.loads(file.read_text())
    document["stacks"]["Shop"] = {}
    file.write_text(json.dumps(document))
    with pytest.raises(StatefulIdentityChanged, match="without a reason"):
        check({"Shop": template(function)}, file)
