"""Micro-batching: several jobs in one run of the model, if each job gets the result that it would get by itself.

The inputs of the jobs are concatenated along their first dimension, and the outputs are split again. The user's own
processing file runs for each job by itself; only the model sees several jobs at once.

A first dimension of any size does not mean that the rows are independent of each other. In a cumulative sum they are
not, nor with dynamic quantisation, which computes one scale for the whole tensor. So the jobs of a model's first
batched run are also run one at a time. If a result differs, all jobs of this model are run one at a time from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from onnx_handler.errors import InferenceError, ModelFailed
from onnx_handler.models.model import Model
from onnx_handler.models.processing import ProcessingRequest, Tensors
from onnx_handler.protocol.inference_request import InferenceRequest
from onnx_handler.tensors.codecs import Array

_log = logging.getLogger("onnx_handler")

# At most so many jobs of the first batched run are also run by themselves.
PROVEN = 4
# Relative and absolute tolerance by numpy type, as in a model package (docs/model-package.md). The absolute one is
# multiplied by the output's root mean square if that is above 1. Outputs of other types must be equal.
_TOLERANCES = {"float64": (1e-6, 1e-8), "float32": (1e-3, 1e-4), "float16": (1e-2, 1e-3)}


class _Feeds(NamedTuple):
    position: int
    tensors: Tensors
    names: list[str]

    def rows(self) -> int | None:
        """Size of the first dimension; None if the inputs differ in it, or one of them is empty."""
        sizes = {array.shape[0] for array in self.tensors.values()}
        return sizes.pop() if len(sizes) == 1 and all(prod(array.shape) for array in self.tensors.values()) else None

    def kind(self) -> tuple[object, ...]:
        """Only feeds of the same kind can be concatenated."""
        tensors = sorted(self.tensors.items())
        return (*self.names, *((name, array.dtype.str, array.shape[1:]) for name, array in tensors))


class MicroBatching:
    """Runs jobs, several in one run of the model if that is allowed.

    Args:
        most_rows: in one run; 1 runs every job by itself. A job with more rows is run by itself.

    Attributes:
        runs: how often a model was run.
    """

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._proven: dict[tuple[str, ...], bool] = {}
        self.runs = 0

    def run(self, model: Model, requests: Sequence[InferenceRequest]) -> list[Tensors | InferenceError]:
        """Runs jobs of one model.

        Returns:
            For each request, in order, its outputs or its own error.
        """
        answers: list[Tensors | InferenceError] = [ModelFailed("it was not run")] * len(requests)
        for group in self._groups(model, requests, answers):
            computed = self._together(model, group) if len(group) > 1 else None
            for index, feeds in enumerate(group):
                request = requests[feeds.position]
                try:
                    outputs = self._alone(model, feeds) if computed is None else computed[index]
                    answers[feeds.position] = model.postprocess(outputs, request.outputs)
                except Exception as error:
                    answers[feeds.position] = _inference_error(error)
        return answers

    def _groups(
        self, model: Model, requests: Sequence[InferenceRequest], answers: list[Tensors | InferenceError]
    ) -> list[list[_Feeds]]:
        full: list[list[_Feeds]] = []
        filling: dict[tuple[object, ...], tuple[list[_Feeds], int]] = {}
        for position, request in enumerate(requests):
            try:
                tensors, names = model.prepare(
                    ProcessingRequest(request.inputs, request.parameters, request.id), request.outputs
                )
            except Exception as error:
                answers[position] = _inference_error(error)
                continue
            feeds = _Feeds(position, tensors, names)
            rows = feeds.rows() if model.is_batchable and self._most_rows > 1 else None
            if rows is None or rows >= self._most_rows:
                full.append([feeds])
                continue
            kind = feeds.kind()
            group, before = filling.get(kind, ([], 0))
            if before + rows > self._most_rows:
                full.append(group)
                group, before = [], 0
            group.append(feeds)
            filling[kind] = group, before + rows
        return [*full, *(group for group, _ in filling.values())]

    def _alone(self, model: Model, feeds: _Feeds) -> Tensors:
        self.runs += 1
        return model.predict(feeds.tensors, feeds.names)

    def _together(self, model: Model, group: list[_Feeds]) -> list[Tensors] | None:
        """The outputs of each job; None if they must be run by themselves."""
        names = group[0].names
        subject = (model.name, model.version, *names)
        if self._proven.get(subject) is False:
            return None
        rows = [feeds.tensors[next(iter(feeds.tensors))].shape[0] for feeds in group]
        try:
            stacked = {name: np.concatenate([feeds.tensors[name] for feeds in group]) for name in group[0].tensors}
            self.runs += 1
            outputs = model.predict(stacked, names)
        except Exception as error:  # one job is wrong, or together they are too large
            _log.info("a run of %d jobs failed, and each is run by itself: %s", len(group), error)
            return None
        for name, array in outputs.items():
            if not isinstance(array, np.ndarray) or array.shape[:1] != (sum(rows),):
                self._refuse(subject, f"output {name!r} of {sum(rows)} rows has shape {np.shape(array)}")
                return None
        ends = np.cumsum(rows).tolist()
        apart = [
            {name: array[end - count : end] for name, array in outputs.items()}
            for count, end in zip(rows, ends, strict=True)
        ]
        if subject not in self._proven:
            return self._prove(model, subject, group, apart)
        return apart

    def _prove(
        self, model: Model, subject: tuple[str, ...], group: list[_Feeds], apart: list[Tensors]
    ) -> list[Tensors] | None:
        # The first job has others after it, the last ones have others before them.
        for index in sorted({0, *range(max(0, len(group) - PROVEN + 1), len(group))}):
            try:
                alone = self._alone(model, group[index])
            except InferenceError:
                return None
            for name, array in alone.items():
                if not same(array, apart[index][name]):
                    self._refuse(subject, f"output {name!r} of a job depends on the jobs that it is run with")
                    return None
        self._proven[subject] = True
        return apart

    def _refuse(self, subject: tuple[str, ...], why: str) -> None:
        self._proven[subject] = False
        _log.warning(
            "jobs of model %r are run one at a time, because %s: set the micro-batch size to 1", subject[0], why
        )


def _inference_error(error: Exception) -> InferenceError:
    if isinstance(error, InferenceError):
        return error
    return ModelFailed(f"unexpected {type(error).__name__}: {error}")


def same(one: Array, other: Array) -> bool:
    """Whether two arrays are equal, within the tolerances for rounding."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    tolerance = _TOLERANCES.get(one.dtype.name)
    if tolerance is None:
        return bool(np.array_equal(one, other))
    finite = one[np.isfinite(one)].astype(np.float64)
    scale = max(1.0, float(np.sqrt(np.mean(finite**2)))) if finite.size else 1.0
    return bool(np.allclose(one, other, tolerance[0], tolerance[1] * scale, equal_nan=True))
