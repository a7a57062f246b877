"""What cannot be served is refused before anything is written, with the way to mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnx_inference.prepare.errors import Refused
from onnx_inference.prepare.onnxruntime_support import newest_ir_version, newest_opset
from tests.support import corpus
from tests.toolkit.prepare.conftest import Prepare


@pytest.fixture
def refuse(prepared: Prepare, tmp_path: Path) -> Callable[..., Refused]:
    def run(made: onnx.ModelProto | Path, **request: object) -> Refused:
        with pytest.raises(Refused) as refusal:
            prepared(made, **request)
        assert not (tmp_path / "package").exists()
        assert not list(tmp_path.glob(".*")), "nothing half made stays behind"
        return refusal.value

    return run


Refuse = Callable[..., Refused]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_file(share: float, refuse: Refuse, tmp_path: Path) -> None:
    path = corpus.save(corpus.mlp(), tmp_path / "m.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused = refuse(path)
    assert refused.code == "model-not-onnx"
    assert "cut off" in refused.problem
    assert "Fetch the file again" in refused.fix


def test_file_that_is_cut_off_between_two_fields(refuse: Refuse, tmp_path: Path) -> None:
    made = corpus.mlp()
    head = onnx.ModelProto(ir_version=made.ir_version, producer_name="exporter")
    (tmp_path / "m.onnx").write_bytes(head.SerializeToString())
    assert refuse(tmp_path / "m.onnx").code == "model-not-onnx"


def test_something_else(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x18\0\0\0ORTM and so on")
    assert "Give the .onnx file" in refuse(tmp_path / "m.onnx").fix
    (tmp_path / "m.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refuse(tmp_path / "m.onnx").code == "model-git-lfs-pointer"
    assert refuse(tmp_path / "none.onnx").code == "model-missing"


def test_missing_external_data(refuse: Refuse, tmp_path: Path) -> None:
    path = corpus.save(corpus.mlp(), tmp_path / "m.onnx", external=True)
    (tmp_path / "m.onnx.weights").unlink()
    refused = refuse(path)
    assert refused.code == "model-weights-missing"
    assert "m.onnx.weights" in refused.problem
    assert "beside the .onnx file" in refused.fix


def test_external_data_that_is_cut_off(refuse: Refuse, tmp_path: Path) -> None:
    path = corpus.save(corpus.mlp(), tmp_path / "m.onnx", external=True)
    weights = tmp_path / "m.onnx.weights"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert refuse(path).code == "model-weights-cut-off"


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "/etc/passwd", "a/../../secret.bin", "..\\secret.bin", "C:\\secret.bin", "", "link.bin"],
)
def test_external_data_outside_the_model(location: str, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(10**7))
    path = corpus.save(corpus.mlp(), tmp_path / "given" / "m.onnx", external=True)
    (tmp_path / "given" / "link.bin").symlink_to(tmp_path / "secret.bin")
    made = onnx.load(path, load_external_data=False)
    for entry in made.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(made.SerializeToString())
    refused = refuse(path)
    assert refused.code == "model-weights-outside"
    assert "save_as_external_data" in refused.fix


def test_external_data_outside_the_model_in_a_subgraph(refuse: Refuse, tmp_path: Path) -> None:
    made = corpus.control_flow()
    branch = made.graph.node[0].attribute[0].g.node[2].attribute[0].g
    tensor = branch.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../w.bin"
    assert refuse(made).code == "model-weights-outside"


@pytest.mark.parametrize("made", [corpus.mlp, corpus.transformer])
def test_download_cache_that_is_links(made: corpus.Made, prepared: Prepare, tmp_path: Path) -> None:
    path = corpus.save(made(), tmp_path / "blobs" / "m.onnx", external=True)
    for file in (path, tmp_path / "blobs" / "m.onnx.weights"):
        link = tmp_path / "snapshots" / file.name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(file)
    assert prepared(tmp_path / "snapshots" / "m.onnx").parity[0].within == 1.0


def test_ir_version_too_new(refuse: Refuse) -> None:
    made = corpus.mlp()
    made.ir_version = newest_ir_version() + 1
    refused = refuse(made)
    assert refused.code == "model-ir-version"
    assert f"model.ir_version = {newest_ir_version()}" in refused.fix


def test_opset_too_new(refuse: Refuse) -> None:
    made = corpus.mlp()
    made.opset_import[0].version = newest_opset("") + 1
    refused = refuse(made)
    assert refused.code == "model-opset"
    assert f"Export with opset {newest_opset('')}" in refused.fix
    assert "onnx.version_converter" in refused.fix


def test_machine_learning_opset_too_new(refuse: Refuse) -> None:
    made = corpus.trees()
    made.opset_import[1].version = newest_opset("ai.onnx.ml") + 1
    refused = refuse(made)
    assert refused.code == "model-opset"
    assert "version_converter" not in refused.fix


@pytest.mark.parametrize("domain", ["", "my.domain"])
def test_unknown_operator(domain: str, refuse: Refuse) -> None:
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain=domain)
    ends = [corpus.floats("x", "n")], [corpus.floats("y", "n")]
    refused = refuse(corpus.model([node], *ends, domains={domain: 1} if domain else None))
    assert refused.code == "model-operator"
    assert "Frobnicate" in refused.problem
    assert "processing file" in refused.fix


def test_operator_without_a_kernel_for_its_type(refuse: Refuse) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT16, ["n"]) for name in ("x", "y")]
    assert refuse(corpus.model([helper.make_node("Neg", ["x"], ["y"])], ends[:1], ends[1:])).code in (
        "model-operator",
        "model-not-loadable",
        "model-invalid",
    )


def test_type_that_the_protocol_lacks(refuse: Refuse) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    refused = refuse(corpus.model([node], [corpus.floats("x", "n")], [sequence]))
    assert refused.code == "model-datatype"
    assert "zipmap" in refused.fix


def test_goldens_that_are_not_finite(refuse: Refuse) -> None:
    nodes = [helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["x", "zero"], ["y"])]
    refused = refuse(corpus.model(nodes, [corpus.floats("x", "n")], [corpus.floats("y", "n")]))
    assert refused.code == "goldens-not-finite"
    assert "--goldens" in refused.fix


def test_made_up_inputs_become_positive_where_that_helps(prepared: Prepare) -> None:
    made = corpus.model([helper.make_node("Log", ["x"], ["y"])], [corpus.floats("x", "n")], [corpus.floats("y", "n")])
    assert prepared(made).parity[0].within == 1.0


def test_goldens_that_the_model_does_not_give(refuse: Refuse, tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", x=np.ones(3, np.float32), y=np.full(3, 2, np.float32))
    refused = refuse(corpus.no_initializers(), goldens=tmp_path / "g.npz")
    assert refused.code == "goldens-differ"
    assert "evaluation mode" in refused.fix


def test_parity_broken_by_quantisation(refuse: Refuse) -> None:
    """Weights of very different sizes in one column: 7 bits cannot hold both."""
    made = corpus.mlp(layers=6)
    for tensor in made.graph.initializer:
        if tensor.name.startswith("w"):
            array = onnx.numpy_helper.to_array(tensor).copy()
            array[0] *= 3000
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    refused = refuse(made, precision="int8-dynamic", min_agreement=0.99)
    assert refused.code == "parity"
    assert "--calibration" in refused.fix
    assert "--min-agreement" in refused.fix


def test_parity_out_of_tolerance(refuse: Refuse) -> None:
    refused = refuse(corpus.cnn(), rtol=0.0, atol=0.0)
    assert refused.code == "parity"
    assert "--rtol and --atol" in refused.fix


def test_budgets(refuse: Refuse) -> None:
    refused = refuse(corpus.mlp(), max_size=1_000_000)
    assert refused.code == "budget-size"
    assert "--quantize" in refused.fix
    refused = refuse(corpus.mlp(), max_load_ms=0.0001)
    assert refused.code == "budget-load"
    assert "--for cold-start" in refused.fix


def test_model_that_needs_a_size(refuse: Refuse, prepared: Prepare) -> None:
    """Only 48 columns in the one open dimension fit the weight."""
    made = corpus.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [corpus.floats("x", "batch", "columns")],
        [corpus.floats("y", "batch", 5)],
        [corpus.weight("w", 48, 5)],
    )
    refused = refuse(made)
    assert refused.code == "model-fails"
    assert "--dim" in refused.fix
    assert refuse(made, dims={"colums": 48}).code == "dimension-unknown"
    assert prepared(made, dims={"columns": 48}).parity[0].within == 1.0
