"""Two models: one that gains from batches, and one that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 2048
LAYERS = 6


def perceptron() -> onnx.ModelProto:
    """`y` [batch, 10] of `x` [batch, 2048]: 101 MB of weights, read from memory once per run, however many rows."""
    random = np.random.default_rng(0)
    nodes, weights, value = [], [], "x"
    for layer in range(LAYERS + 1):
        size = 10 if layer == LAYERS else WIDTH
        matrix = random.standard_normal((WIDTH, size), np.float32) / np.float32(np.sqrt(WIDTH))
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"h{layer}" if layer < LAYERS else "y"]))
        if layer < LAYERS:
            nodes.append(helper.make_node("Relu", [f"h{layer}"], [f"r{layer}"]))
        value = f"r{layer}"
    return _model(nodes, weights, ["batch", WIDTH])


def convolutions() -> onnx.ModelProto:
    """`y` [batch, 10] of `x` [batch, 3, 96, 96]: a row keeps a core busy by itself, so that rows only add up."""
    random = np.random.default_rng(0)
    nodes, weights, value, channels = [], [], "x", 3
    for layer, outgoing in enumerate((32, 64, 128)):
        kernel = random.standard_normal((outgoing, channels, 3, 3), np.float32) * np.float32(0.1)
        weights.append(numpy_helper.from_array(kernel, f"k{layer}"))
        nodes.append(helper.make_node("Conv", [value, f"k{layer}"], [f"c{layer}"], strides=[2, 2], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value, channels = f"r{layer}", outgoing
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    weights.append(numpy_helper.from_array(random.standard_normal((channels, 10), np.float32), "head"))
    nodes.append(helper.make_node("MatMul", ["flat", "head"], ["y"]))
    return _model(nodes, weights, ["batch", 3, 96, 96])


def _model(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], shape: list[int | str]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(model: onnx.ModelProto, directory: Path) -> Path:
    """Writes a model package directory that holds the bare model, and returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")
    return directory
