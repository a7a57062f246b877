"""Which golden samples a new version must answer before it gets traffic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goldens:
    """Golden samples: inputs, and the expected outputs with tolerances."""

    @staticmethod
    def of_packages() -> PackageGoldens:
        """The samples in `goldens/` of the models' packages, which `onnx-inference prepare` writes."""
        return PackageGoldens()

    @staticmethod
    def at(directories: Mapping[str, str | os.PathLike[str]]) -> GivenGoldens:
        """Samples of your own, e.g. of what clients send to a function with `processing`.

        Args:
            directories: Name of the model -> a directory with `goldens.json` and samples, as `docs/model-package.md`
                describes them. Inputs and outputs have the names that clients use.
        """
        return GivenGoldens(directories=tuple((name, os.fspath(path)) for name, path in directories.items()))

    @staticmethod
    def none(*, reason: str) -> NoGoldens:
        """No samples: a new version gets traffic without a check, and only alarms stop it.

        Args:
            reason: Why that is acceptable here, 1 to 500 characters, for the reader of the code.
        """
        return NoGoldens(reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageGoldens(Goldens):
    """See `Goldens.of_packages`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenGoldens(Goldens):
    """See `Goldens.at`."""

    directories: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoGoldens(Goldens):
    """See `Goldens.none`."""

    reason: str


AnyGoldens = PackageGoldens | GivenGoldens | NoGoldens
"""What the factories of `Goldens` return."""
