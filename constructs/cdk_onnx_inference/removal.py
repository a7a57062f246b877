"""What happens to stored data when its stack is deleted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retain:
    """The storage stays. See `Removal.retain`."""


@dataclass(frozen=True, slots=True)
class Destroy:
    """The storage is deleted. See `Removal.destroy`."""

    reason: str


class Removal:
    """What happens to storage (of models, or of jobs) when its stack is deleted, or when a change replaces it."""

    @staticmethod
    def retain() -> Retain:
        """The storage stays in the account with its content, and continues to cost money. The default."""
        return Retain()

    @staticmethod
    def destroy(*, reason: str) -> Destroy:
        """The storage is deleted with everything in it. Function versions that serve models from it stop working.

        Args:
            reason: Why that is acceptable here, 1 to 500 characters. It is kept in the template, as metadata of the
                storage, for whoever reviews it.
        """
        return Destroy(reason=reason)


AnyRemoval = Retain | Destroy
"""What the factories of `Removal` return."""
