"""Small ONNX models, made by the tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

Shape = Sequence[int | str]
IR_VERSION = 10
OPSET = 21


def tensor(name: str, element_type: int, shape: Shape | None) -> onnx.ValueInfoProto:
    """A typed input or output; a `shape` of None leaves even the rank open."""
    return helper.make_tensor_value_info(name, element_type, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """A model at an opset that every supported onnxruntime loads."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def identity(element_type: int = TensorProto.FLOAT, shape: Shape | None = ("n",)) -> onnx.ModelProto:
    """`y` is `x`: what goes in must come out, whatever the datatype."""
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", element_type, shape)],
        [tensor("y", element_type, shape)],
    )


def matmul() -> onnx.ModelProto:
    """`y` [batch, 3] is `x` [batch, 4] times a fixed matrix of 0..11."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    return model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["batch", 4])],
        [tensor("y", TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )


def sum_and_difference() -> onnx.ModelProto:
    """Two inputs and two outputs over one named dimension: `sum` and `difference` of `a` and `b`."""
    return model(
        [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
        [tensor(name, TensorProto.FLOAT, ["n"]) for name in ("a", "b")],
        [tensor(name, TensorProto.FLOAT, ["n"]) for name in ("sum", "difference")],
    )


def repeated() -> onnx.ModelProto:
    """`y` is as many copies of the single value `x` as `count` says: an answer of any size from a small request."""
    return model(
        [helper.make_node("Expand", ["x", "count"], ["y"])],
        [tensor("x", TensorProto.FLOAT, [1]), tensor("count", TensorProto.INT64, [1])],
        [tensor("y", TensorProto.FLOAT, ["n"])],
    )


def save(made: onnx.ModelProto, directory: Path) -> Path:
    """Writes a model package directory that holds the bare model, and returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(made, directory / "model.onnx")
    return directory


def save_package(
    directory: Path, made: onnx.ModelProto | None = None, *, size_threshold: int = 0, **members: Any
) -> Path:
    """Writes a package directory as `onnx-inference prepare` does: the weights beside the graph, and a manifest.

    Args:
        directory: of the package.
        made: the model; `matmul` unless given.
        size_threshold: bytes from which a tensor is beside the graph; shapes have to be in it.
        members: of the manifest, on top of its format, parts and digest.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "model.onnx.data"):
        (directory / name).unlink(missing_ok=True)  # onnx would append
    onnx.save(
        made or matmul(),
        directory / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=size_threshold,
    )
    parts = [
        {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name in ("model.onnx", "model.onnx.data")
        if (directory / name).is_file()
        for content in [(directory / name).read_bytes()]
    ]
    listing = "".join(f"{part['sha256']}  {part['path']}\n" for part in parts)
    manifest = {
        "format": "onnx-inference-model-package",
        "name": directory.name,
        "digest": f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}",
        "parts": parts,
        **members,
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return directory
