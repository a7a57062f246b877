"""The golden run: one run of a model before a client waits for it, on a sample of its package or on zeros.

A model's first run allocates its memory, reads mapped weights, and creates what onnxruntime creates late. The outputs
are not compared with the sample's: `onnx-inference prepare` and the `verify` command do that.
"""

from __future__ import annotations

import json
import logging
import os
from time import perf_counter_ns

import numpy as np

from onnx_handler.metrics import Metrics
from onnx_handler.tensors.codecs import Array, numpy_type
from onnx_handler.tensors.signature import TensorSpec

from .model import Model
from .processing import Tensors

_log = logging.getLogger("onnx_handler")


def run(model: Model, metrics: Metrics) -> None:
    """Runs the model once, without its processing file, and records how long it took. A failure is only logged."""
    try:
        inputs, what = _inputs(model)
        started = perf_counter_ns()
        outputs = model.run(inputs)
        metrics.golden_run((perf_counter_ns() - started) / 1e6)
    except Exception as cause:
        # The model may have no answer for zeros: an index past the end of a table, an empty sequence.
        _log.warning("model %r: its golden run failed: %s", model.name, cause)
        return
    for name, array in outputs.items():
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all():
            _log.warning("model %r: output %r of its golden run, on %s, is not finite", model.name, name, what)


def _inputs(model: Model) -> tuple[Tensors, str]:
    try:
        if (sample := _sample(os.path.join(model.path, "goldens"))) is not None:  # noqa: PTH118 - pathlib is not worth its import here
            return sample, "the package's first sample"
    except Exception as cause:
        _log.warning("model %r: its goldens cannot be read: %s", model.name, cause)
    return {spec.name: _zeros(spec) for spec in model.model_inputs}, "zeros"


def _sample(directory: str) -> Tensors | None:
    """The inputs of the first golden sample; None if the package has none."""
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
    """Strings as onnxruntime takes them; in a package they are fixed-width unicode."""
    return array.astype(object) if array.dtype.kind == "U" else array


def _zeros(spec: TensorSpec) -> Array:
    shape = [1 if size == -1 else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, numpy_type(spec.datatype))
