"""Guards resources that hold data: their logical ids, and the properties that would replace them.

CloudFormation knows a resource by its logical id. If a construct is renamed or moved, the id changes: CloudFormation
makes a new, empty resource, and deletes the old one or leaves it behind with the data. So the identities are committed
to a file, and the file changes only with a reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .normalise import Template, normalised
from .replacement import replacing_properties
from .stateful_types import STATEFUL, noun

_RETAINED = ("Retain", "RetainExceptOnCreate", "Snapshot")


class StatefulIdentityChanged(AssertionError):
    """A deployment would replace, delete or orphan something that holds data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What identifies a stateful resource.

    Attributes:
        type: Its resource type.
        replacing: The properties that replace it when they change, with their values.
        deletion_policy: What happens to it when it leaves the template. CloudFormation's default is Delete.
        update_replace_policy: What happens to it when it is replaced. CloudFormation's default is Delete.
    """

    type: str
    replacing: Mapping[str, Any]
    deletion_policy: str
    update_replace_policy: str


def identities(template: Template) -> dict[str, Identity]:
    """The stateful resources of a template, by logical id.

    Args:
        template: As CDK synthesised it.

    Raises:
        ModuleNotFoundError: The extra `testing` is not installed.
    """
    return {
        name: Identity(
            type=resource["Type"],
            replacing=replacing_properties(resource),
            deletion_policy=resource.get("DeletionPolicy", "Delete"),
            update_replace_policy=resource.get("UpdateReplacePolicy", "Delete"),
        )
        for name, resource in sorted(normalised(template)["Resources"].items())
        if resource["Type"] in STATEFUL
    }


def check(templates: Mapping[str, Template], file: Path) -> None:
    """Compares the stateful resources of stacks with the committed ones.

    Args:
        templates: By the stack's name.
        file: Written by `record`; JSON.

    Raises:
        StatefulIdentityChanged: Something would be replaced, deleted or left behind, or is not in the file yet; or the
            file was changed without a reason. The text says what a deployment would do, and what to do next.
    """
    if not file.is_file():
        raise StatefulIdentityChanged(f"{file.name} does not exist. {_HOW_TO_RECORD}")
    document = json.loads(file.read_text(encoding="utf-8"))
    before, reasons = document["stacks"], document["reasons"]
    if not reasons or reasons[-1]["digest"] != _digest(before) or not reasons[-1]["reason"].strip():
        raise StatefulIdentityChanged(f"{file.name} was changed without a reason. {_HOW_TO_RECORD}")
    after = _document(templates)
    found = [text for stack in sorted(before.keys() | after.keys()) for text in _differences(stack, before, after)]
    if found:
        lines = "".join(f"\n  - {text}" for text in found)
        raise StatefulIdentityChanged(f"What holds data would not stay as it is:{lines}\n{_HOW_TO_RECORD}")


def record(templates: Mapping[str, Template], file: Path, *, reason: str) -> None:
    """Writes the stateful resources of stacks to the file, and why they changed.

    Args:
        templates: By the stack's name.
        file: The file to write. Reasons in it are kept.
        reason: Why they changed. It is added only if something changed.

    Raises:
        ValueError: The reason is blank.
    """
    if not reason.strip():
        raise ValueError("the reason is blank: say why what holds data may change, and what becomes of the data")
    stacks = _document(templates)
    reasons = json.loads(file.read_text(encoding="utf-8"))["reasons"] if file.is_file() else []
    digest = _digest(stacks)
    if not reasons or reasons[-1]["digest"] != digest:
        reasons.append({"digest": digest, "reason": reason.strip()})
    text = json.dumps({"reasons": reasons, "stacks": stacks}, indent=2, sort_keys=True)
    file.write_text(text + "\n", encoding="utf-8")


_HOW_TO_RECORD = (
    "Put the construct's id and place back; or, where the change is meant, record it with its reason: "
    "pytest --record-stateful-ids='why, and what becomes of the data'."
)


def _document(templates: Mapping[str, Template]) -> dict[str, Any]:
    return {
        stack: {
            name: {
                "type": identity.type,
                "replacing": identity.replacing,
                "deletion_policy": identity.deletion_policy,
                "update_replace_policy": identity.update_replace_policy,
            }
            for name, identity in identities(template).items()
        }
        for stack, template in sorted(templates.items())
    }


def _digest(stacks: Mapping[str, Any]) -> str:
    text = json.dumps(stacks, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _differences(stack: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if stack not in after:
        yield f"stack {stack} is gone, with {', '.join(before[stack]) or 'no stateful resource'}"
        return
    if stack not in before:
        yield f"stack {stack} is new: record it"
        return
    old, new = before[stack], after[stack]
    added = new.keys() - old.keys()
    for name in sorted(old.keys() - new.keys()):
        successors = sorted(other for other in added if new[other]["type"] == old[name]["type"])
        yield f"{stack}: {_lost(name, old[name], successors)}"
    for name in sorted(added):
        yield f"{stack}: the {noun(new[name]['type'])} {name} is new: record it"
    for name in sorted(old.keys() & new.keys()):
        for text in _changed(name, old[name], new[name]):
            yield f"{stack}: {text}"


def _lost(name: str, resource: Mapping[str, Any], successors: list[str]) -> str:
    what = f"the {noun(resource['type'])} {name}"
    if resource["deletion_policy"] in _RETAINED:
        text = f"{what} would leave the stack, and be left behind with its data (DeletionPolicy is Retain)"
    else:
        text = f"{what} would be DELETED, with its data (DeletionPolicy is {resource['deletion_policy']})"
    if successors:
        text += f"; {', '.join(successors)} would be made, empty: was a construct's id changed, or moved?"
    return text


def _changed(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    what = f"the {noun(old['type'])} {name}"
    if old["type"] != new["type"]:
        yield f"{what} would become a {new['type']}, which CloudFormation refuses under the same id"
        return
    for key in sorted(old["replacing"].keys() | new["replacing"].keys()):
        was, now = old["replacing"].get(key), new["replacing"].get(key)
        if was != now:
            fate = "left behind" if new["update_replace_policy"] in _RETAINED else "DELETED with its data"
            yield (
                f"{what} would be REPLACED by an empty one, and the old one {fate}: "
                f"{key} changes from {json.dumps(was)} to {json.dumps(now)}"
            )
    for key, when in (("deletion_policy", "it leaves the stack"), ("update_replace_policy", "it is replaced")):
        if old[key] != new[key]:
            yield f"{what}: what happens when {when} changes from {old[key]} to {new[key]}"
