"""A model of ResNet-50's size: its graph of convolutions, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Blocks and inner channels of the four stages (He et al., "Deep Residual Learning", table 1).
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
EXPANSION = 4
CLASSES = 1000


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(50)

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def weight(self, shape: tuple[int, ...], scale: float) -> str:
        name = f"weight_{len(self.weights)}"
        values = self._random.standard_normal(shape, np.float32) * np.float32(scale)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def convolution(
        self, x: str, channels: tuple[int, int], kernel: int = 1, stride: int = 1, relu: bool = True
    ) -> str:
        """A convolution with a bias, as exporters write it after folding the batch normalisation into it."""
        incoming, outgoing = channels
        scale = float(np.sqrt((2 if relu else 0.2) / (incoming * kernel * kernel)))  # keeps activations of one size
        inputs = [x, self.weight((outgoing, incoming, kernel, kernel), scale), self.weight((outgoing,), 0.01)]
        pads = [kernel // 2] * 4
        y = self.add("Conv", inputs, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads)
        return self.add("Relu", [y]) if relu else y


def model() -> onnx.ModelProto:
    """`image` FP32 [batch, 3, 224, 224] to `logits` FP32 [batch, 1000]; about 25.5 million parameters."""
    graph = _Graph()
    x = graph.convolution("image", (3, 64), kernel=7, stride=2)
    x = graph.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    incoming = 64
    for stage, (blocks, inner) in enumerate(STAGES):
        outgoing = inner * EXPANSION
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            y = graph.convolution(x, (incoming, inner))
            y = graph.convolution(y, (inner, inner), kernel=3, stride=stride)
            y = graph.convolution(y, (inner, outgoing), relu=False)
            if block == 0:
                x = graph.convolution(x, (incoming, outgoing), stride=stride, relu=False)
            x = graph.add("Relu", [graph.add("Add", [x, y])])
            incoming = outgoing
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])
    graph.add("Gemm", [x, graph.weight((incoming, CLASSES), 0.02), graph.weight((CLASSES,), 0.01)])
    graph.nodes[-1].output[0] = "logits"
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "resnet50",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def saved(path: Path) -> Path:
    """Builds the model once; a later run finds it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model(), path)
    return path
