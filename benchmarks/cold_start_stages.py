"""Our handler, with the clock noted between the stages of its cold start; the answer carries the times.

Runs in the contender's task root under awslambdaric, so it imports nothing of the benchmarks. The imports are in the
order in which the handler itself does them. `cold_start_site/` notes when the interpreter is ready.
"""

# ruff: noqa: E402, I001
from time import perf_counter
from typing import Any
import sys

stages = {"interpreter": sys.cold_start_ready, "awslambdaric": perf_counter()}  # type: ignore[attr-defined]

import gc
import os

gc.disable()
from onnx_handler.storage import prefetch

prefetch.start(os.environ)
prefetch.start = lambda environment: None  # `http` would start it again

import numpy  # noqa: F401

stages["numpy"] = perf_counter()

import onnxruntime  # noqa: F401

stages["onnxruntime"] = perf_counter()

import onnx_handler.metrics
import onnx_handler.protocol.open_inference

stages["our modules"] = perf_counter()

import onnx_handler.http

loaded = perf_counter()
# The model load is the handler's own figure; the rest of the import is the settings, and the line with that figure.
(served,) = onnx_handler.http.handler.__self__._repository.in_memory()  # type: ignore[attr-defined]
stages["settings, first log line"] = loaded - served.model.load_time / 1000
stages["model load"] = loaded


def handler(event: Any, context: Any) -> Any:
    asked = perf_counter()
    answer = onnx_handler.http.handler(event, context)
    noted = {**stages, "the event on its way": asked, "first request": perf_counter()}
    return {**answer, "stages": noted}
