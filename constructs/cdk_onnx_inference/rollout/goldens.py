"""Which golden samples a new version must answer before it gets traffic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goldens:
    """Golden samples: inputs, and the outputs that are expected of a model, with tolerances."""

    @staticmethod
    def of_packages() -> PackageGoldens:
        """Those in `goldens/` of the models' packages, which `onnx-inference prepare` writes."""
        return PackageGoldens()

    @staticmethod
    def at(directories: Mapping[str, str | os.PathLike[str]]) -> GivenGoldens:
        """Your own, e.g. of what a client sends to a function with `processing`.

        Args:
            directories: By the model's name: a directory with `goldens.json` and its samples, as
                `docs/model-package.md` describes them, with the names of what a client sends and gets.
        """
        return GivenGoldens(directories=tuple((name, os.fspath(path)) for name, path in directories.items()))

    @staticmethod
    def none(*, reason: str) -> NoGoldens:
        """No version is asked anything before it gets traffic: only alarms stop it.

        Args:
            reason: Why; for the reader of the code.
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
