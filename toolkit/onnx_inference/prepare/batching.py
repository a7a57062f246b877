"""How many rows a run of the model should have: what a row costs, by the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bench import Candidate
from .session_process import SessionFailed, run_session
from .session_worker import Array, write_arrays
from .signature import Signature

SIZES = (1, 2, 4, 8, 16, 32)
WARM_SECONDS = 0.25

LONGEST_RUN = 2.0
"""Seconds: once a run takes as long, larger sizes are not measured."""

ENOUGH = 0.9
"""A size is large enough when it has this share of the best rows per second."""


@dataclass(frozen=True, slots=True)
class Batching:
    """Seconds of a warm run by its number of rows.

    Attributes:
        runs: The smallest first.
    """

    runs: Mapping[int, float]

    @property
    def recommended(self) -> int:
        """The smallest size that is about as fast per row as any."""
        best = max(rows / seconds for rows, seconds in self.runs.items())
        return next(rows for rows, seconds in self.runs.items() if rows / seconds >= ENOUGH * best)

    def gain(self) -> float:
        """Rows per second at the recommended size, divided by those at the smallest."""
        rows = self.recommended
        first = next(iter(self.runs))
        return (rows / self.runs[rows]) / (first / self.runs[first])

    def to_manifest(self) -> dict[str, Any]:
        """The form that the manifest has."""
        return {
            "runs": [{"rows": rows, "warm_ms": round(seconds * 1e3, 4)} for rows, seconds in self.runs.items()],
            "recommended_rows": self.recommended,
        }


def has_batch_dimension(signature: Signature) -> bool:
    """Whether every tensor has a first dimension of any size, and it is the same one in all inputs."""
    tensors = (*signature.inputs, *signature.outputs)
    if not signature.inputs or any(not tensor.shape or tensor.shape[0] != -1 for tensor in tensors):
        return False
    return len({tensor.axes[0] for tensor in signature.inputs if tensor.axes and tensor.axes[0]}) <= 1


def measure(
    best: Candidate, signature: Signature, feed: Mapping[str, Array], scratch: Path, advance: Callable[[], None]
) -> Batching | None:
    """Measures a model at several numbers of rows, each in a process of its own.

    Args:
        best: The graph and its options.
        signature: Of the model.
        feed: Inputs of one run, whose rows are repeated.
        scratch: A directory for files that are not kept.
        advance: Called `len(SIZES)` times.

    Returns:
        None where requests cannot share a run, or the model fails with more rows.
    """
    if not has_batch_dimension(signature) or not all(array.shape[0] for array in feed.values()):
        return None
    runs: dict[int, float] = {}
    for rows in SIZES:
        if not runs or max(runs.values()) < LONGEST_RUN:
            path = scratch / f"batch-{rows}.npz"
            write_arrays(path, {name: repeated(array, rows) for name, array in feed.items()})
            try:
                run = run_session(
                    best.graph, best.session, threads=best.threads, feeds=[path], warm_seconds=WARM_SECONDS
                )
            except SessionFailed:  # not every size, whatever the signature says
                return None
            runs[rows] = run.warm
        advance()
    return Batching(runs)


def repeated(array: Array, rows: int) -> Array:
    """An array with so many rows: the given ones, repeated."""
    return np.concatenate([array] * -(-rows // array.shape[0]))[:rows]
