"""The functions of `AsyncInference` may do with the table what their code does with it: no less, and no more."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cdk_onnx_inference import _permissions
from tests.support.synth import ROOT

HANDLER = ROOT / "runtime" / "onnx_handler"
ACTIONS = {
    "batch_execute_statement": "dynamodb:PartiQLUpdate",
    "batch_get_item": "dynamodb:BatchGetItem",
    "delete_item": "dynamodb:DeleteItem",
    "get_item": "dynamodb:GetItem",
    "put_item": "dynamodb:PutItem",
    "query": "dynamodb:Query",
    "update_item": "dynamodb:UpdateItem",
}
COMMANDS = {
    "worker": (("queue.py", "jobs/worker.py"), _permissions.WORK_ON_JOBS),
    "job api": (("jobs/api.py",), _permissions.SUBMIT_JOBS),
    "dead letters": (("dead_letters.py",), _permissions.BURY_JOBS),
    "sweeper": (("sweep.py",), (*_permissions.EXPIRE_JOBS, *_permissions.FIND_OPEN_JOBS)),
}


def calls(tree: ast.AST) -> set[tuple[str, str]]:
    """(the last name before the method, the method) of each call: `self._table.get(...)` is ("_table", "get")."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            found.add((name, node.attr))
    return found


def parsed(name: str) -> ast.Module:
    return ast.parse(Path(HANDLER, name).read_text())


def actions_by_method() -> dict[str, set[str]]:
    """Method of `JobTable` -> the actions that it needs, those of the methods that it calls included."""
    (table,) = (
        node for node in parsed("jobs/table.py").body if isinstance(node, ast.ClassDef) and node.name == "JobTable"
    )
    methods = {node.name: calls(node) for node in table.body if isinstance(node, ast.FunctionDef)}
    actions = {
        name: {ACTIONS[called] for owner, called in made if owner == "_client"} for name, made in methods.items()
    }
    for _ in methods:  # as often as one can call another
        for name, made in methods.items():
            for owner, called in made:
                if owner == "self" and called in actions:
                    actions[name] |= actions[called]
    return actions


@pytest.mark.parametrize("command", COMMANDS)
def test_a_function_may_do_with_the_table_what_its_command_does(command: str) -> None:
    files, permitted = COMMANDS[command]
    by_method = actions_by_method()
    needed: set[str] = set()
    for file in files:
        for owner, method in calls(parsed(file)):
            if owner in ("_table", "table"):
                needed |= by_method[method]
    assert needed == set(permitted)


def test_every_method_of_the_table_is_understood() -> None:
    by_method = actions_by_method()
    assert set().union(*by_method.values()) == set(ACTIONS.values())
