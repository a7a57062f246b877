"""Says what a deployment would do, by comparing the deployed template with the new one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from .monthly_cost import monthly_cost
from .normalise import Template
from .replacement import replacing_properties
from .stateful_types import STATEFUL, noun

_VERSION = re.compile(r"CurrentVersion[0-9A-F]{8}(?:[0-9a-f]{32}|<version>)$")
_DEPLOYMENT = re.compile(r"Deployment[0-9A-F]{8}(?:[0-9a-f]{32}|<deployment>)$")
_MOST_SHOWN = 60  # characters of a value


class Concern(IntEnum):
    """How important a change is for a reviewer. Higher values are more important."""

    NOTE = 0
    COST = 1
    SECURITY = 2
    DATA = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that a deployment would do.

    Attributes:
        concern: How important it is for a reviewer.
        logical_id: The resource's logical id.
        type: The resource's type.
        text: What would happen, in words.
        monthly_cost: The change of fixed costs, in dollars a month.
    """

    concern: Concern
    logical_id: str
    type: str
    text: str
    monthly_cost: float = 0.0

    def __str__(self) -> str:
        label = "" if self.concern is Concern.NOTE else f"[{self.concern.name}] "
        cost = f": {_dollars(self.monthly_cost)}/month" if self.monthly_cost else ""
        return f"{label}{self.text}{cost}"


def changes(before: Template, after: Template) -> list[Change]:
    """What deploying `after` over `before` would do, the most important changes first.

    Raw templates tell more than normalised ones: they show which property of a function publishes a new version.

    Args:
        before: The deployed template.
        after: The new template.

    Raises:
        ModuleNotFoundError: The extra `testing` is not installed.
    """
    old, new = before.get("Resources", {}), after.get("Resources", {})
    found: list[Change] = []
    for name in sorted(old.keys() - new.keys()):
        if not _is_renewed(name, old[name], new):
            found.append(_removed(name, before))
    for name in sorted(new.keys() - old.keys()):
        if _is_renewed(name, new[name], old):
            found.append(_renewed(name, before, after))
        else:
            found.append(_added(name, after))
    for name in sorted(old.keys() & new.keys()):
        found += _modified(name, before, after)
    return sorted(found, key=lambda change: -change.concern)


def summary(before: Template, after: Template) -> str:
    """`changes` as lines of text, with the sum of their costs. Empty if there are no changes."""
    return told(changes(before, after))


def told(found: Sequence[Change]) -> str:
    """Changes as lines of text, with the sum of their costs."""
    lines = [str(change) for change in found]
    total = sum(change.monthly_cost for change in found)
    if abs(total) >= 0.005:
        lines.append(f"Fixed costs change by {_dollars(total)} a month.")
    return "\n".join(lines)


def _removed(name: str, before: Template) -> Change:
    resource = before["Resources"][name]
    what = f"the {noun(resource['Type'])} {name}"
    concern, text = Concern.NOTE, f"removes {what}"
    if resource["Type"] in STATEFUL:
        concern = Concern.DATA
        retained = resource.get("DeletionPolicy", "Delete") != "Delete"
        text = f"leaves {what} behind, outside of the stack" if retained else f"DELETES {what} with its data"
    return Change(
        concern=concern,
        logical_id=name,
        type=resource["Type"],
        text=text,
        monthly_cost=-monthly_cost(name, before),
    )


def _added(name: str, after: Template) -> Change:
    resource = after["Resources"][name]
    cost, opened = monthly_cost(name, after), _opened({}, resource)
    concern = Concern.SECURITY if opened else Concern.COST if cost else Concern.NOTE
    kind = noun(resource["Type"])
    article = "an" if kind[0] in "aeioA" or kind.startswith("HTTP") else "a"
    text = f"adds {article} {kind}, {name}" + "".join(f"; {reason}" for reason in opened)
    return Change(concern=concern, logical_id=name, type=resource["Type"], text=text, monthly_cost=cost)


def _is_renewed(name: str, resource: Template, others: Template) -> bool:
    """Whether `others` has the same version, or API deployment, with another hash at the end of its id."""
    pattern = {"AWS::Lambda::Version": _VERSION, "AWS::ApiGateway::Deployment": _DEPLOYMENT}.get(resource["Type"])
    found = pattern.search(name) if pattern else None
    if found is None:
        return False
    stem = name[: name.rindex("<")] if name.endswith(">") else name[: found.end() - 32]
    return any(other.startswith(stem) and others[other]["Type"] == resource["Type"] for other in others)


def _renewed(name: str, before: Template, after: Template) -> Change:
    resource = after["Resources"][name]
    if resource["Type"] == "AWS::ApiGateway::Deployment":
        return Change(
            concern=Concern.NOTE, logical_id=name, type=resource["Type"], text="deploys the REST API's new definition"
        )
    function = resource["Properties"]["FunctionName"].get("Ref", "")
    old, new = (template["Resources"].get(function, {}).get("Properties", {}) for template in (before, after))
    causes = [path.removeprefix("Environment.Variables.") for path, _, _ in _differences(old, new)]
    because = f" because {', '.join(causes)} changed" if causes else ""
    return Change(
        concern=Concern.NOTE,
        logical_id=name,
        type=resource["Type"],
        text=f"publishes a new version of the function {function}{because}",
    )


def _modified(name: str, before: Template, after: Template) -> Iterator[Change]:
    old, new = before["Resources"][name], after["Resources"][name]
    if old == new:
        return
    kind = new["Type"]
    what = f"the {noun(kind)} {name}"
    was, now = replacing_properties(old), replacing_properties(new)
    replacing = [key for key in sorted(was.keys() | now.keys()) if was.get(key) != now.get(key)]
    differences = [_described(*found) for found in _differences(old.get("Properties", {}), new.get("Properties", {}))]
    differences += [
        _described(key, old.get(key, "Delete"), new.get(key, "Delete"))
        for key in ("DeletionPolicy", "UpdateReplacePolicy")
        if old.get(key, "Delete") != new.get(key, "Delete")
    ]
    cost = monthly_cost(name, after) - monthly_cost(name, before)
    opened = _opened(old, new)
    detail = "; ".join(differences[:6]) + (f"; and {len(differences) - 6} more" if len(differences) > 6 else "")
    if not differences and old.get("Type") == kind:
        return  # DependsOn and metadata: nothing that a deployment would do
    if old["Type"] != kind:
        concern, text = Concern.DATA, f"{name} becomes a {kind}, which CloudFormation refuses under the same id"
    elif replacing and kind in STATEFUL:
        kept = new.get("UpdateReplacePolicy", "Delete") != "Delete"
        fate = "the old one is left behind" if kept else "the old one is DELETED with its data"
        concern, text = Concern.DATA, f"replaces {what} by an empty one, {fate} ({detail})"
    elif kind in STATEFUL and "DeletionPolicy Retain -> Delete" in differences:
        concern, text = Concern.DATA, f"lets {what} be deleted with the stack ({detail})"
    else:
        concern = Concern.SECURITY if opened else Concern.COST if cost else Concern.NOTE
        text = f"{'replaces' if replacing else 'changes'} {what} ({detail})"
    text += "".join(f"; {reason}" for reason in opened)
    yield Change(concern=concern, logical_id=name, type=kind, text=text, monthly_cost=cost)


def _opened(old: Template, new: Template) -> list[str]:
    """What becomes possible for somebody that was not possible before."""
    before, after = old.get("Properties", {}), new.get("Properties", {})
    found = []
    if after.get("AuthorizationType") == "NONE" != before.get("AuthorizationType"):
        open_method = new["Type"] in ("AWS::ApiGatewayV2::Route", "AWS::Lambda::Url") or (
            new["Type"] == "AWS::ApiGateway::Method" and not after.get("ApiKeyRequired")
        )
        if open_method and after.get("HttpMethod") != "OPTIONS":
            found.append("anybody may call it")
    if new["Type"] in ("AWS::IAM::Policy", "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
        found += sorted(f"grants {grant}" for grant in _broad_grants(after) - _broad_grants(before))
    known = before.get("SecurityGroupIngress", [])
    rules = [rule for rule in after.get("SecurityGroupIngress", []) if rule not in known]
    if any(rule.get("CidrIp") == "0.0.0.0/0" or rule.get("CidrIpv6") == "::/0" for rule in rules):
        found.append("lets the whole internet in")
    return found


def _broad_grants(properties: Template) -> set[str]:
    documents = [properties.get("PolicyDocument"), *(p.get("PolicyDocument") for p in properties.get("Policies", []))]
    found = set()
    for document in documents:
        for statement in _listed(document.get("Statement", [])) if isinstance(document, dict) else []:
            if statement.get("Effect") != "Allow":
                continue
            for action in _listed(statement.get("Action", [])):
                if isinstance(action, str) and action.endswith("*"):
                    found.add(f"every action of {action}")
                elif "*" in _listed(statement.get("Resource", [])):
                    found.add(f"{action} on every resource")
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict) and not _is_intrinsic(old) and not _is_intrinsic(new):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def _is_intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _described(path: str, old: Any, new: Any) -> str:
    if old is None:
        return f"{path} {_short(new)} is new"
    if new is None:
        return f"{path} {_short(old)} goes"
    return f"{path} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _dollars(amount: float) -> str:
    sign = "-" if amount < 0 else "+"
    return f"{sign}${abs(amount):.2f}" if abs(amount) < 10 else f"{sign}${abs(amount):.0f}"
