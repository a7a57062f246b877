"""Ours, with the clock noted between the stages of its cold start; the answer carries what was noted.

Runs in the contender's task root under awslambdaric, so it imports nothing of the benchmarks. The order of the imports
is the one that they have without it.
"""

# ruff: noqa: E402, I001
from time import perf_counter
from typing import Any

stages = {"interpreter and awslambdaric": perf_counter()}

import onnx_handler

import numpy  # noqa: F401

stages["numpy"] = perf_counter()

import onnxruntime  # noqa: F401

stages["onnxruntime"] = perf_counter()

import onnx_handler.metrics
import onnx_handler.open_inference

stages["our modules"] = perf_counter()

import onnx_handler.http

stages["settings, model load, first log line"] = perf_counter()


def handler(event: Any, context: Any) -> Any:
    asked = perf_counter()
    answer = onnx_handler.http.handler(event, context)
    noted = {**stages, "the event on its way": asked, "first request": perf_counter()}
    return {**answer, "stages": noted}
