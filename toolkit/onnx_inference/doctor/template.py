"""A CloudFormation template: its resources, their properties, and what these refer to."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

FUNCTION = "AWS::Lambda::Function"
ALIAS = "AWS::Lambda::Alias"
VERSION = "AWS::Lambda::Version"
_SUBSTITUTED = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([A-Za-z0-9.]+))?\}")


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    construct_path: str = ""

    def number(self, *path: str, default: float) -> float | None:
        """A number among the properties; None when it is known at deployment only.

        Args:
            path: The names of the properties, from the outside in.
            default: CloudFormation's own, for a property that is not there.
        """
        value = self.value(*path)
        if value is None:
            return default
        if isinstance(value, str) and value.isdigit():
            return int(value)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def value(self, *path: str) -> Any:
        """A property; None when it is not there."""
        value: Any = self.properties
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True)
class Template:
    """The resources of a template.

    Attributes:
        name: For display.
        document: The template.
        image_platforms: The platform of each image asset by its hash; None where it is that of the building machine.
    """

    name: str
    document: Mapping[str, Any]
    image_platforms: Mapping[str, str | None] = field(default_factory=dict)

    def resources(self, *types: str) -> Iterator[Resource]:
        """The resources of the types, or all, in the template's order."""
        for name, entry in (self.document.get("Resources") or {}).items():
            if isinstance(entry, Mapping) and (not types or entry.get("Type") in types):
                yield self._resource(name, entry)

    def find(self, logical_id: str | None, *types: str) -> Resource | None:
        """The resource of an id, if it is there and of one of the types."""
        entry = (self.document.get("Resources") or {}).get(logical_id)
        if logical_id is None or not isinstance(entry, Mapping) or (types and entry.get("Type") not in types):
            return None
        return self._resource(logical_id, entry)

    def referred(self, value: Any, *types: str) -> Resource | None:
        """The first resource of the types that a value refers to, by whatever intrinsic function."""
        return next((found for name in references(value) if (found := self.find(name, *types))), None)

    def function_of(self, value: Any) -> tuple[Resource | None, bool]:
        """The function that a value means, and whether by an alias or a version.

        A reference to another stack, or an ARN that is written out, is not known here.
        """
        target = self.referred(value, FUNCTION, ALIAS, VERSION)
        if target is None or target.type == FUNCTION:
            return target, _is_qualified_text(value)
        return self.function_behind(target), True

    def function_behind(self, qualifier: Resource) -> Resource | None:
        """The function of an alias or a version."""
        return self.referred(qualifier.value("FunctionName"), FUNCTION)

    @staticmethod
    def _resource(name: str, entry: Mapping[str, Any]) -> Resource:
        properties = entry.get("Properties")
        metadata = entry.get("Metadata")
        path = metadata.get("aws:cdk:path", "") if isinstance(metadata, Mapping) else ""
        return Resource(name, str(entry.get("Type")), properties if isinstance(properties, Mapping) else {}, path)


def references(value: Any) -> Iterator[str]:
    """The logical ids that a value refers to, from left to right."""
    if isinstance(value, Mapping):
        for key, argument in value.items():
            if key == "Ref" and isinstance(argument, str):
                yield argument
            elif key == "Fn::GetAtt":
                name = argument[0] if isinstance(argument, list) and argument else argument
                if isinstance(name, str):
                    yield name.partition(".")[0]
            elif key == "Fn::Sub":
                text = argument[0] if isinstance(argument, list) and argument else argument
                if isinstance(text, str):
                    yield from (name for name, _ in _SUBSTITUTED.findall(text))
                if isinstance(argument, list):
                    yield from references(argument[1:])
            else:
                yield from references(argument)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Those items of a list that are mappings; a single mapping counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]


def _is_qualified_text(value: Any) -> bool:
    """Whether an ARN put together by Fn::Join or Fn::Sub goes on with a qualifier after the function's."""
    if isinstance(value, list):
        return any(_is_qualified_text(item) for item in value) or any(
            isinstance(piece, Mapping) and "Fn::GetAtt" in piece and isinstance(after, str) and after.startswith(":")
            for piece, after in pairwise(value)
        )
    if not isinstance(value, Mapping):
        return isinstance(value, str) and re.search(r"\$\{[A-Za-z0-9]+\.Arn\}:[A-Za-z0-9$_{-]", value) is not None
    return any(_is_qualified_text(value.get(key)) for key in ("Fn::Sub", "Fn::Join"))
