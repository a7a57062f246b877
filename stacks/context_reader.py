"""Reads and checks single values of the CDK context."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from constructs import Node

from cdk_onnx_inference import InvalidInferenceConfig, Problem


@contextmanager
def reading(node: Node, keys: Collection[str]) -> Iterator[ContextReader]:
    """Gives a reader, and raises all problems together at the end of the block.

    Args:
        node: The app's node.
        keys: All keys that exist. Other keys of the context are ignored, unless they look like a misspelt one.

    Raises:
        InvalidInferenceConfig: With all problems: `context-key` for a misspelt key, `context-value` for a value that
            cannot be read.
    """
    reader = ContextReader(node)
    reader.reject_misspelt_keys(keys)
    yield reader
    reader.raise_problems()


class ContextReader:
    """Values of the context: strings if they come from the command line, anything if they come from cdk.json."""

    def __init__(self, node: Node) -> None:
        self._context: dict[str, Any] = {str(key): value for key, value in node.get_all_context().items()}
        self._problems: list[Problem] = []

    def text(self, key: str) -> str | None:
        """A text, or None if there is none."""
        value = self._context.get(key)
        if value is None:
            return None
        if isinstance(value, bool | dict | list):
            self.problem(key, value, "text", "Give one value.")
            return None
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if text.strip():
            return text
        self.problem(key, value, "text that is not blank", f"Leave {key} out for its default.")
        return None

    def whole_number(self, key: str, default: int) -> int:
        """A whole number."""
        text = self.text(key)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        self.problem(key, text, "a whole number", f"Give e.g. -c {key}={default}.")
        return default

    def optional_number(self, key: str, example: int) -> int | None:
        """A whole number, or None if there is none."""
        return None if self.text(key) is None else self.whole_number(key, example)

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """One of the choices. The first is the default."""
        names = tuple(choices)
        text = self.text(key)
        if text is None or text in names:
            return text or names[0]
        self.problem(key, text, ", ".join(names), f"Give e.g. -c {key}={names[0]}.")
        return names[0]

    def optional_choice(self, key: str, choices: Iterable[str]) -> str | None:
        """One of the choices, or None if there is none."""
        return None if self.text(key) is None else self.choice(key, choices)

    def reject(self, keys: Iterable[str], allowed: str) -> None:
        """Reports options that would have no effect."""
        for key in keys:
            if (value := self.text(key)) is not None:
                self.problem(key, value, allowed, f"Ask for it, or leave {key} out.")

    def reject_misspelt_keys(self, keys: Collection[str]) -> None:
        """Reports keys that do not exist but are similar to one that does."""
        for key in sorted(self._context.keys() - set(keys)):
            meant = difflib.get_close_matches(key, keys, n=1, cutoff=0.75)
            if meant:
                self._problems.append(
                    Problem("context-key", f"context.{key}", repr(key), ", ".join(keys), f"Did you mean {meant[0]!r}?")
                )

    def problem(self, key: str, got: object, allowed: str, fix: str) -> None:
        """Reports a problem."""
        self._problems.append(Problem("context-value", f"context.{key}", repr(got), allowed, fix))

    def raise_problems(self) -> None:
        """Raises what was reported."""
        if self._problems:
            raise InvalidInferenceConfig(self._problems)
