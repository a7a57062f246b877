"""Where weights go, and that nothing of a gigabyte passes through memory or through one message."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.numpy_helper import to_array

from onnx_inference.prepare.preparation import prepare
from onnx_inference.prepare.request import Request
from onnx_inference.prepare.session_options import SessionOptions
from onnx_inference.prepare.session_process import run_session
from onnx_inference.prepare.session_worker import write_arrays
from onnx_inference.prepare.traversal import is_external, tensors
from onnx_inference.prepare.weight_files import ALIGNMENT, SMALL_MODEL, THRESHOLD, strip, write_model
from tests.support import corpus
from tests.support.quick_preparation import NoSteps


def written(made: onnx.ModelProto, folder: Path, source: Path | None = None) -> onnx.ModelProto:
    folder.mkdir()
    write_model(made, (source or folder) / "model.onnx", folder / "model.onnx", folder / "model.onnx.data")
    return onnx.load(folder / "model.onnx", load_external_data=False)


def places(made: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    found = {}
    for tensor in (found.tensor for found in tensors(made)):
        if is_external(tensor):
            entries = {entry.key: entry.value for entry in tensor.external_data}
            found[tensor.name] = (int(entries["offset"]), int(entries["length"]))
    return found


def test_equal_tensors_are_written_once(tmp_path: Path) -> None:
    made = written(corpus.shared(), tmp_path / "out")
    assert places(made) == {"a": (0, 1_440_000), "b": (0, 1_440_000), "c": (0, 1_440_000)}
    assert (tmp_path / "out" / "model.onnx.data").stat().st_size == 1_440_000


def test_order_is_that_of_use(tmp_path: Path) -> None:
    made = corpus.mlp()
    backwards = list(made.graph.initializer)[::-1]
    copies = [TensorProto.FromString(tensor.SerializeToString()) for tensor in backwards]
    del made.graph.initializer[:]
    made.graph.initializer.extend(copies)
    found = places(written(made, tmp_path / "out"))
    offsets = [found[name][0] for name in ("w0", "w1", "w2", "head")]
    assert offsets == sorted(offsets)
    assert all(offset % ALIGNMENT == 0 for offset in offsets)


def test_small_models_and_small_tensors_stay_inside(tmp_path: Path) -> None:
    assert not places(written(corpus.cnn(), tmp_path / "small"))
    assert not (tmp_path / "small" / "model.onnx.data").exists()
    assert set(places(written(corpus.mlp(), tmp_path / "large"))) == {"w0", "w1", "w2", "head"}
    assert THRESHOLD < SMALL_MODEL


def test_values_in_typed_fields_go_outside_too(tmp_path: Path) -> None:
    values = corpus.random(600, 600)
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [600, 600], values.ravel().tolist())
    assert not tensor.HasField("raw_data")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    made = written(
        corpus.model([node], [corpus.floats("x", "n", 600)], [corpus.floats("y", "n", 600)], [tensor]), tmp_path / "o"
    )
    assert "w" in places(made)
    np.testing.assert_array_equal(to_array(made.graph.initializer[0], str(tmp_path / "o")), values)


def test_attributes_that_kernels_read_come_inside(tmp_path: Path) -> None:
    """A ConstantOfShape reads its value from the graph: external data is brought in."""
    (tmp_path / "v.bin").write_bytes(np.array([3], np.float32).tobytes())
    value = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = value.external_data.add()
    entry.key, entry.value = "location", "v.bin"
    node = helper.make_node("ConstantOfShape", ["x"], ["y"])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(value)
    shape = helper.make_tensor_value_info("x", TensorProto.INT64, [1])
    made = written(corpus.model([node], [shape], [corpus.floats("y", "n")]), tmp_path / "o", tmp_path)
    assert not places(made)
    assert to_array(made.graph.node[0].attribute[0].t).tolist() == [3]


def test_functions_and_their_operator_sets_survive_stripping() -> None:
    made = corpus.model(
        [helper.make_node("Twice", ["x"], ["y"], domain="mine")],
        [corpus.floats("x", "n")],
        [corpus.floats("y", "n")],
        domains={"mine": 1, "unused": 3},
    )
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    made.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, made.opset_import[:1]))
    strip(made)
    assert [entry.domain for entry in made.opset_import] == ["", "mine"]
    onnx.checker.check_model(made)


@pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is told by /proc")
def test_weights_are_mapped_and_stay_out_of_the_process(tmp_path: Path) -> None:
    """The figure of the design: anonymous memory after load and one run, by weights, at most 0.15."""
    path = corpus.save(corpus.mlp(layers=4, width=1536), tmp_path / "m.onnx")
    result = prepare(Request(model=path, output=tmp_path / "package", rounds=1, objective="memory", seed=1), NoSteps())
    assert result.manifest["session"]["config"] == {"session.disable_prepacking": "1"}
    write_arrays(tmp_path / "x.npz", {"x": corpus.random(1, 1536)})
    session = SessionOptions.from_manifest(result.manifest["session"])
    run = run_session(tmp_path / "package" / "model.onnx", session, feeds=[tmp_path / "x.npz"])
    assert run.anonymous is not None
    assert run.anonymous <= 0.15 * result.size_after
    assert result.before.anonymous is not None
    assert result.before.anonymous > result.size_before


def test_operator_sets_are_named_once() -> None:
    """skl2onnx names the standard one twice."""
    made = corpus.trees()
    made.opset_import.extend([made.opset_import[1], helper.make_opsetid("ai.onnx", corpus.OPSET)])
    strip(made)
    assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", corpus.OPSET), ("ai.onnx.ml", 3)]
