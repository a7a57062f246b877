"""The properties of a resource that CloudFormation cannot change without replacing the resource."""

from __future__ import annotations

from functools import cache
from typing import Any

from .normalise import Template

_REGION = "us-east-1"


@cache
def _paths(resource_type: str) -> tuple[tuple[str, ...], ...]:
    """From CloudFormation's resource schemas, which are part of cfn-lint."""
    try:
        from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError
    except ImportError:
        raise ModuleNotFoundError(
            "cfn-lint is not installed, which knows what replaces a resource: pip install 'cdk-onnx-inference[testing]'"
        ) from None
    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(_REGION, resource_type).schema
    except ResourceNotFoundError:  # a type that this cfn-lint does not know yet
        return ()
    pointers = [*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ())]
    return tuple(sorted(tuple(pointer.split("/")[2:]) for pointer in pointers))


def replacing_properties(resource: Template) -> dict[str, Any]:
    """The properties of a resource that replace it when they change, by their dotted path.

    Args:
        resource: One entry of a template's `Resources`.

    Raises:
        ModuleNotFoundError: The extra `testing` is not installed.
    """
    found: dict[str, Any] = {}
    for path in _paths(resource["Type"]):
        value = _at(resource.get("Properties", {}), path)
        if value is not None:
            found[".".join(path)] = value
    return found


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for position, part in enumerate(path):
        if part == "*":
            items = [_at(item, path[position + 1 :]) for item in value] if isinstance(value, list) else []
            return items if any(item is not None for item in items) else None
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value
