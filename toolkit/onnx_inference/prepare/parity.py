"""How far outputs are from those that are expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .session_worker import Array

# Relative and absolute, by datatype. Optimised graphs and other CPUs add in another order; a wrong result is off by
# far more. The absolute one counts in units of the output's root mean square where that is above 1.
TOLERANCES: Mapping[str, tuple[float, float]] = {
    "FP64": (1e-6, 1e-8),
    "FP32": (1e-3, 1e-4),
    "FP16": (1e-2, 1e-3),
    "BF16": (3e-2, 1e-2),
}
LOSSY_TOLERANCE = (5e-2, 5e-2)
"""For outputs of quantised and FP16 models that are not scores of classes: 5 %, of the value or of a typical one."""

EXACT = (0.0, 0.0)

Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class OutputParity:
    """One output over all samples.

    Attributes:
        name: The output's.
        rtol: Relative tolerance.
        atol: Absolute tolerance, in the output's own unit.
        largest_difference: The largest absolute difference; 0 for outputs that are not numbers.
        within: Share of values within the tolerances, 0 to 1.
        agreement: Share of rows with the same largest score where the last dimension holds scores; else `within`.
    """

    name: str
    rtol: float
    atol: float
    largest_difference: float
    within: float
    agreement: float

    def to_manifest(self) -> dict[str, Any]:
        """The form that the manifest has."""
        return {
            "name": self.name,
            "largest_difference": self.largest_difference,
            "within_tolerance": self.within,
            "agreement": self.agreement,
        }


def tolerance(datatype: str, *, lossy: bool, rtol: float | None, atol: float | None) -> tuple[float, float]:
    """Relative and absolute tolerance of an output; what the user gave wins, except for exact datatypes."""
    if datatype not in TOLERANCES:
        return EXACT
    default = LOSSY_TOLERANCE if lossy else TOLERANCES[datatype]
    return (default[0] if rtol is None else rtol, default[1] if atol is None else atol)


def compare(
    expected: Sequence[Outputs], actual: Sequence[Outputs], tolerances: Mapping[str, tuple[float, float]]
) -> list[OutputParity]:
    """Compares outputs sample by sample.

    Args:
        expected: What should come out.
        actual: What came out.
        tolerances: Relative and absolute tolerance by output.
    """
    return [
        _compare(name, [outputs[name] for outputs in expected], [outputs[name] for outputs in actual], *limits)
        for name, limits in tolerances.items()
    ]


def _compare(name: str, expected: list[Array], actual: list[Array], rtol: float, atol: float) -> OutputParity:
    scale = _root_mean_square(expected)
    atol *= max(1.0, scale)
    values = same = rows = rows_same = 0
    largest = 0.0
    for want, got in zip(expected, actual, strict=True):
        if want.shape != got.shape:
            values, rows = values + max(1, want.size), rows + 1
            largest = float("inf")
            continue
        close = _close(want, got, rtol, atol)
        values, same = values + want.size, same + int(np.count_nonzero(close))
        if want.dtype.kind == "f" and want.size:
            with np.errstate(invalid="ignore"):
                difference = np.abs(want.astype(np.float64) - got.astype(np.float64))
            largest = max(largest, float(np.max(difference, where=~np.isnan(difference), initial=0.0)))
        if _is_scores(want):
            agreeing = np.argmax(want, axis=-1) == np.argmax(got, axis=-1)
            rows, rows_same = rows + agreeing.size, rows_same + int(np.count_nonzero(agreeing))
    within = same / values if values else 1.0
    return OutputParity(name, rtol, atol, largest, within, rows_same / rows if rows else within)


def _is_scores(array: Array) -> bool:
    return array.dtype.kind == "f" and array.ndim >= 2 and array.shape[-1] >= 2 and array.size > 0


def _close(want: Array, got: Array, rtol: float, atol: float) -> Array:
    if want.dtype.kind == "f" and got.dtype.kind == "f":
        return np.isclose(got.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
    return np.asarray(want == got)


def _root_mean_square(arrays: list[Array]) -> float:
    numbers = [array.astype(np.float64).ravel() for array in arrays if array.dtype.kind == "f" and array.size]
    if not numbers:
        return 0.0
    joined = np.concatenate(numbers)
    finite = joined[np.isfinite(joined)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
