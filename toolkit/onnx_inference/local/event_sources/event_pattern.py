"""Event patterns: the filters of event source mappings and pipes.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

import fnmatch
import ipaddress
import json
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_MISSING = object()
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class UnknownPattern(ValueError):
    """A pattern uses an operator that is not known here."""


def parse_filters(criteria: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    """The patterns of a FilterCriteria; empty when everything passes.

    Raises:
        UnknownPattern: A pattern is not a JSON object, or uses an unknown operator.
    """
    patterns = []
    for entry in (criteria or {}).get("Filters") or ():
        try:
            pattern = json.loads(entry["Pattern"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownPattern(f"not an event pattern: {entry!r}") from error
        if not isinstance(pattern, dict):
            raise UnknownPattern(f"not an event pattern: {entry['Pattern']}")
        _check(pattern)
        patterns.append(pattern)
    return tuple(patterns)


def passes(patterns: Iterable[Mapping[str, Any]], event: Mapping[str, Any]) -> bool:
    """Whether at least one pattern matches. Everything passes when there is no pattern."""
    patterns = tuple(patterns)
    return not patterns or any(matches(pattern, event) for pattern in patterns)


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether an event has each member of a pattern, with one of the values that the pattern allows."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(alternative, event) for alternative in wanted):
                return False
            continue
        value = event.get(name, _MISSING) if isinstance(event, Mapping) else _MISSING
        if isinstance(wanted, Mapping):
            if not matches(wanted, {} if value is _MISSING else value):
                return False
        elif not _allowed(wanted, value):
            return False
    return True


def _allowed(rules: Iterable[Any], value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(_fits(rule, one) for rule in rules for one in values)


def _fits(rule: Any, value: Any) -> bool:
    if not isinstance(rule, Mapping):
        return value is not _MISSING and _equal(rule, value)
    ((name, wanted),) = rule.items()
    if name == "exists":
        return (value is not _MISSING and not isinstance(value, Mapping)) is bool(wanted)
    return value is not _MISSING and _OPERATORS[name](wanted, value)


def _check(pattern: Any) -> None:
    for name, wanted in pattern.items():
        if name == "$or":
            for alternative in wanted:
                _check(alternative)
        elif isinstance(wanted, Mapping):
            _check(wanted)
        elif not isinstance(wanted, list):
            raise UnknownPattern(f"{name}: the values of an event pattern are lists, got {wanted!r}")
        else:
            for rule in wanted:
                if isinstance(rule, Mapping) and (len(rule) != 1 or next(iter(rule)) not in (*_OPERATORS, "exists")):
                    known = ", ".join(sorted((*_OPERATORS, "exists", "$or")))
                    raise UnknownPattern(f"{name}: {json.dumps(rule)} is not known here; known are: {known}")


def _equal(wanted: Any, value: Any) -> bool:
    """Equality, but true does not equal 1."""
    return isinstance(wanted, bool) is isinstance(value, bool) and bool(wanted == value)


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """A test of a string. The operator's value may be `{"equals-ignore-case": ...}`, which ignores case."""

    def apply(wanted: Any, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(wanted, Mapping):
            return test(str(wanted.get("equals-ignore-case", "")).lower(), value.lower())
        return test(str(wanted), value)

    return apply


def _anything_but(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        ((name, unwanted),) = wanted.items()
        each = unwanted if isinstance(unwanted, list) else [unwanted]
        return not any(_OPERATORS[name](one, value) for one in each)
    return not any(_equal(one, value) for one in (wanted if isinstance(wanted, list) else [wanted]))


def _numeric(wanted: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    pairs = zip(wanted[::2], wanted[1::2], strict=True)
    return all(_COMPARISONS[sign](value, bound) for sign, bound in pairs)


def _within(network: Any, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network)
    except ValueError:
        return False


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _text(lambda wanted, value: value.startswith(wanted)),
    "suffix": _text(lambda wanted, value: value.endswith(wanted)),
    "equals-ignore-case": _text(lambda wanted, value: value.lower() == wanted.lower()),
    "wildcard": _text(lambda wanted, value: fnmatch.fnmatchcase(value, wanted.replace("[", "[[]").replace("?", "[?]"))),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _within,
}
