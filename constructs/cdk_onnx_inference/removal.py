"""What becomes of stored models when their stack is deleted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retain:
    """The storage stays. See `Removal.retain`."""


@dataclass(frozen=True, slots=True)
class Destroy:
    """The storage goes. See `Removal.destroy`."""

    reason: str


class Removal:
    """What becomes of the storage of models when its stack is deleted, or when a change replaces it."""

    @staticmethod
    def retain() -> Retain:
        """The storage stays in the account, with the models, and goes on costing. The default."""
        return Retain()

    @staticmethod
    def destroy(*, reason: str) -> Destroy:
        """The storage is deleted with all models in it. Versions of functions that serve them stop working.

        Args:
            reason: Why that is right here, 1 to 500 characters. It is kept in the template, as metadata of the
                storage, for whoever reviews it.
        """
        return Destroy(reason=reason)


AnyRemoval = Retain | Destroy
"""What the factories of `Removal` return."""
