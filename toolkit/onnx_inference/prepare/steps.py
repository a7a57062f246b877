"""How the work tells its progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Steps(Protocol):
    """Shows how far the work is."""

    def step(self, what: str, total: int | None = None) -> AbstractContextManager[Callable[[], None]]:
        """A step that takes a while; the context gives what to call after each of its `total` parts."""
