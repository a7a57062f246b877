"""What the installed onnxruntime can load, found by asking it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from onnx import TensorProto, helper

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_SAFE_IR_VERSION, _SAFE_OPSET = 8, 17  # every release since 2022 loads these


def onnxruntime_version() -> str:
    """The installed release."""
    return version("onnxruntime")


def supports(ir_version: int, opsets: Mapping[str, int]) -> bool:
    """Whether a model of these versions, with one operator that all of them have, loads."""
    import onnxruntime

    node = helper.make_node("Identity", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph([node], "probe", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in ({"": 1} | dict(opsets)).items()],
        ir_version=ir_version,
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's exceptions share no base class of their own
        return False
    return True


@cache
def newest_ir_version() -> int:
    """The newest `ModelProto.ir_version` that loads."""
    found = _SAFE_IR_VERSION
    while supports(found + 1, {"": _SAFE_OPSET}):
        found += 1
    return found


@cache
def newest_opset(domain: str) -> int:
    """The newest version of an operator set that loads. onnxruntime does not judge domains that it does not know."""
    found = 1
    while found < 1000 and supports(_SAFE_IR_VERSION, {"": _SAFE_OPSET, domain: found + 1}):
        found += 1
    return found
