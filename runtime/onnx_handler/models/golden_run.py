"""One run of a model before anybody waits for it: on a sample of its package's, or on an input made from its signature.

The first run of a model allocates its memory, reads the weights that it needs where they are mapped, and makes what
onnxruntime makes late. Nothing is compared here: that is `onnx-inference prepare`'s work.
"""

from __future__ import annotations

import json
import logging
import os
from time import perf_counter_ns

import numpy as np

from onnx_handler.metrics import Metrics
from onnx_handler.tensors.codecs import RAW_TYPES, Array
from onnx_handler.tensors.signature import TensorSpec

from .model import Model
from .processing import Tensors

_log = logging.getLogger("onnx_handler")


def run(model: Model, metrics: Metrics) -> None:
    """Runs the model once, by its session alone, and records how long it took. A failure is logged and no more."""
    try:
        inputs, what = _inputs(model)
        started = perf_counter_ns()
        outputs = model.run(inputs)
        metrics.golden_run((perf_counter_ns() - started) / 1e6)
    except Exception as cause:
        # Zeros may be what the model has no answer for: an index past a table's end, an empty sequence.
        _log.warning("model %r: its golden run failed: %s", model.name, cause)
        return
    for name, array in outputs.items():
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all():
            _log.warning("model %r: output %r of its golden run, on %s, is not finite", model.name, name, what)


def _inputs(model: Model) -> tuple[Tensors, str]:
    try:
        if (sample := _sample(os.path.join(model.path, "goldens"))) is not None:  # noqa: PTH118 - as everywhere here
            return sample, "the package's first sample"
    except Exception as cause:
        _log.warning("model %r: its goldens cannot be read: %s", model.name, cause)
    return {spec.name: _zeros(spec) for spec in model.model_inputs}, "zeros"


def _sample(directory: str) -> Tensors | None:
    """The inputs of the first sample; None where there are no goldens, or goldens of another kind."""
    try:
        with open(os.path.join(directory, "goldens.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            samples = json.load(file).get("samples")
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not samples:
        return None
    with np.load(os.path.join(directory, samples[0]["inputs"]), allow_pickle=False) as stored:  # noqa: PTH118
        return {name: _as_objects(stored[name]) for name in stored.files}


def _as_objects(array: Array) -> Array:
    """Strings as onnxruntime takes them; a package has them as fixed-width unicode."""
    return array.astype(object) if array.dtype.kind == "U" else array


def _zeros(spec: TensorSpec) -> Array:
    shape = [1 if size == -1 else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, np.float32 if spec.datatype == "BF16" else RAW_TYPES[spec.datatype])
