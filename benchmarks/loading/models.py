"""Models of a given size, made on the spot: an MLP, a convolutional and a transformer-shaped one.

All of them take 8 numbers, so that the request is small, and compute little, so that loading is what is measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT = [0.5] * 8
MB_PER_VCPU = 1769  # AWS Lambda "Configure function memory"
TOOLKIT = Path(__file__).parents[2] / "toolkit"


class Graph:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.size = 0
        self._random = np.random.default_rng(0)

    def weight(self, *shape: int) -> str:
        scale = np.float32(1 / np.sqrt(np.prod(shape[1:]) if len(shape) > 2 else shape[0]))
        array = self._random.standard_normal(shape, dtype=np.float32) * scale
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        self.size += array.nbytes
        return name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def model(self, last: str) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("ReduceMean", [last], ["y"], keepdims=0))
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def mlp(size: int) -> onnx.ModelProto:
    """2048 x 2048 layers."""
    graph = Graph()
    x = graph.node("MatMul", "x", graph.weight(8, 2048))
    while graph.size < size:
        x = graph.node("Relu", graph.node("MatMul", x, graph.weight(2048, 2048)))
    return graph.model(x)


def convolutional(size: int) -> onnx.ModelProto:
    """3 x 3 convolutions of 512 channels on 7 x 7."""
    graph = Graph()
    x = graph.node("MatMul", "x", graph.weight(8, 512 * 49))
    x = graph.node("Reshape", x, graph.constant([1, 512, 7, 7], np.int64))
    while graph.size < size:
        x = graph.node("Relu", graph.node("Conv", x, graph.weight(512, 512, 3, 3), pads=[1, 1, 1, 1]))
    return graph.model(x)


def transformer(size: int) -> onnx.ModelProto:
    """Blocks of self-attention (width 1024, 16 heads) and a feed-forward part, over 16 positions."""
    graph = Graph()
    x = graph.node("MatMul", "x", graph.weight(8, 16 * 1024))
    x = graph.node("Reshape", x, graph.constant([1, 16, 1024], np.int64))
    heads, joined = graph.constant([1, 16, 16, 64], np.int64), graph.constant([1, 16, 1024], np.int64)
    scale, ones, zeros = graph.constant(0.125), graph.constant([1.0] * 1024), graph.constant([0.0] * 1024)
    while graph.size < size:
        normal = graph.node("LayerNormalization", x, ones, zeros)
        q, k, v = (
            graph.node("Reshape", graph.node("MatMul", normal, graph.weight(1024, 1024)), heads) for _ in range(3)
        )
        q, v = (graph.node("Transpose", value, perm=[0, 2, 1, 3]) for value in (q, v))
        k = graph.node("Transpose", k, perm=[0, 2, 3, 1])
        weights = graph.node("Softmax", graph.node("Mul", graph.node("MatMul", q, k), scale))
        mixed = graph.node("Transpose", graph.node("MatMul", weights, v), perm=[0, 2, 1, 3])
        mixed = graph.node("MatMul", graph.node("Reshape", mixed, joined), graph.weight(1024, 1024))
        x = graph.node("Add", x, mixed)
        normal = graph.node("LayerNormalization", x, ones, zeros)
        wide = graph.node("Gelu", graph.node("MatMul", normal, graph.weight(1024, 4096)))
        x = graph.node("Add", x, graph.node("MatMul", wide, graph.weight(4096, 1024)))
    return graph.model(x)


SHAPES: dict[str, Callable[[int], onnx.ModelProto]] = {
    "mlp": mlp,
    "convolutional": convolutional,
    "transformer": transformer,
}
ROUNDS = 5  # processes per candidate, as by default


def save(shape: str, size: int, into: Path) -> None:
    """Writes the model three times: `bare/model.onnx`, `ort/model.ort` and the package `prepared/`.

    What is there already is used again, unless this file or `prepare` has changed since.
    """
    stamp, wanted = into / ".made", _made_of(size)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(into, ignore_errors=True)
    for name in ("bare", "ort"):
        (into / name).mkdir(parents=True)
    onnx.save(SHAPES[shape](size), into / "bare" / "model.onnx")
    _save_ort(into / "bare" / "model.onnx", into / "ort" / "model.ort")
    _prepare(into / "bare" / "model.onnx", into / "prepared")
    stamp.write_text(wanted)


def _made_of(size: int) -> str:
    sources = hashlib.sha256(Path(__file__).read_bytes())
    for file in sorted((TOOLKIT / "onnx_inference" / "prepare").glob("*.py")):
        sources.update(file.read_bytes())
    return f"{size} {ROUNDS} {sources.hexdigest()}"


def _save_ort(graph: Path, into: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(into)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(graph), options)


def _prepare(graph: Path, into: Path) -> None:
    """By the command, as a user would; the threads are those of a function with this machine's cores."""
    options = ["--for", "cold-start", "--memory-size", str(MB_PER_VCPU * len(os.sched_getaffinity(0)))]
    subprocess.run(
        [sys.executable, "-m", "onnx_inference.cli", "prepare", graph, "-o", into, *options, "--rounds", str(ROUNDS)],
        env={**os.environ, "PYTHONPATH": str(TOOLKIT)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def chosen(package: Path) -> list[tuple[str, str]]:
    """What `prepare` chose, by name: the graph's optimisation, and the session options."""
    manifest = json.loads((package / "manifest.json").read_text())
    return [
        ("graph optimised offline", manifest["graph"]["optimization"]),
        *((name, json.dumps(value)) for name, value in manifest["session"].items()),
    ]


def parts(package: Path, bucket: str) -> Iterator[dict[str, Any]]:
    """The members of MODEL_OBJECTS for a package whose files are objects of the same names."""
    for file in sorted(file for file in package.iterdir() if file.is_file()):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        yield {
            "path": file.name,
            "uri": f"s3://{bucket}/{file.name}",
            "size": file.stat().st_size,
            "sha256": digest,
        }
