"""What the twin replaces in MiniStack while a cloud runs. All of it is put back when the cloud stops."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

#: The functions that create, update and delete resources of one type, by name.
Handlers = Mapping[str, Any]


def ministack(name: str) -> Any:
    """A module of MiniStack, such as `services.sqs`."""
    return importlib.import_module(f"ministack.{name}")


class Patches:
    """Replaces attributes of MiniStack's modules and handlers of its CloudFormation, and undoes that."""

    def __init__(self) -> None:
        self._attributes: list[tuple[Any, str, Any]] = []
        self._handlers: dict[str, Handlers | None] = {}

    @property
    def handlers(self) -> dict[str, Handlers]:
        """The handlers of MiniStack's CloudFormation as they are now, by resource type."""
        handlers: dict[str, Handlers] = ministack("services.cloudformation.provisioners")._RESOURCE_HANDLERS
        return handlers

    def attribute(self, module: Any, name: str, value: object) -> None:
        """Replace an attribute of a module."""
        self._attributes.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def handle(self, resource_type: str, handlers: Handlers) -> None:
        """Replace the handlers of a resource type, or add a type that MiniStack does not know."""
        self._handlers.setdefault(resource_type, self.handlers.get(resource_type))
        self.handlers[resource_type] = handlers

    def after_each_change(self, resource_type: str, action: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Call something after each resource of a type is created or updated.

        Args:
            resource_type: The type.
            action: Called with the resource's physical id and its properties.
        """
        original = self.handlers[resource_type]

        def create(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
            made = original["create"](logical_id, properties, stack_name)
            action(made[0], properties)
            return made

        def update(
            physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *arguments: Any, **named: Any
        ) -> Any:
            updated = original["update"](physical_id, old, new, *arguments, **named)
            action(updated[0], new)
            return updated

        self.handle(resource_type, {**original, "create": create, "update": update})

    def undo(self) -> None:
        """Put everything back."""
        for module, name, value in reversed(self._attributes):
            setattr(module, name, value)
        self._attributes.clear()
        for resource_type, handlers in self._handlers.items():
            if handlers is None:
                self.handlers.pop(resource_type, None)
            else:
                self.handlers[resource_type] = handlers
        self._handlers.clear()
