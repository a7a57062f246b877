"""Every kind of model becomes a package that gives what the model gave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from onnx_inference.prepare.graph_variants import make_variants
from onnx_inference.prepare.model_package import digest_of, read_package
from onnx_inference.prepare.onnx_model import read_model
from onnx_inference.prepare.session_worker import read_arrays, run
from onnx_inference.prepare.traversal import is_external, tensors
from onnx_inference.prepare.weight_files import ALIGNMENT
from tests.support import corpus
from tests.toolkit.prepare.conftest import Prepare


def outputs_of(graph: Path, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return run(session, inputs)


def assert_same(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(actual[name], array, rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(actual[name], array)


@pytest.mark.parametrize("external", [False, True], ids=["inside", "outside"])
@pytest.mark.parametrize("kind", corpus.CORPUS)
def test_package_gives_what_the_model_gave(kind: str, external: bool, prepared: Prepare, tmp_path: Path) -> None:
    made = corpus.CORPUS[kind]()
    if external and not made.graph.initializer and kind not in ("control_flow", "scan"):
        pytest.skip("no weights to put outside")
    result = prepared(made, external=external)
    package = read_package(tmp_path / "package")
    inputs, expected = package.goldens()
    assert inputs
    for given, wanted in zip(inputs, expected, strict=True):
        feeds = read_arrays(given)
        assert_same(outputs_of(package.graph, feeds), read_arrays(wanted))
        if (kind, external) != ("transformer", True):  # onnxruntime does not load that one as it is given
            assert_same(outputs_of(tmp_path / "given" / "m.onnx", feeds), read_arrays(wanted))
    assert all(parity.within == 1.0 for parity in result.parity)
    onnx.checker.check_model(str(package.graph))


def test_shapes_that_are_outside_come_inside(prepared: Prepare) -> None:
    result = prepared(corpus.transformer(), external=True)
    assert any("shapes are outside the graph" in reason for reason in result.manifest["reasons"])


@pytest.mark.parametrize("kind", corpus.CORPUS)
def test_weights_are_aligned_and_in_one_file(kind: str, prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.CORPUS[kind](), external=True)
    data = tmp_path / "package" / "model.onnx.data"
    ends = []
    for found in tensors(onnx.load(tmp_path / "package" / "model.onnx", load_external_data=False)):
        if not is_external(found.tensor):
            continue
        entries = {entry.key: entry.value for entry in found.tensor.external_data}
        assert entries["location"] == "model.onnx.data"
        assert int(entries["offset"]) % ALIGNMENT == 0
        ends.append(int(entries["offset"]) + int(entries["length"]))
    assert data.exists() == bool(ends)
    if ends:
        assert data.stat().st_size == max(ends)


def test_manifest(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.transformer(vocabulary=8000), name="encoder", version="7")
    manifest = json.loads((tmp_path / "package" / "manifest.json").read_text())
    assert (manifest["format"], manifest["format_version"]) == ("cdk-onnx-inference/model-package", 1)
    assert (manifest["name"], manifest["version"]) == ("encoder", "7")
    axes = ["batch", "sequence"]
    assert manifest["inputs"] == [
        {"name": name, "datatype": "INT64", "shape": [-1, -1], "axes": axes} for name in ("input_ids", "attention_mask")
    ]
    assert manifest["outputs"] == [
        {"name": "scores", "datatype": "FP32", "shape": [-1, -1, 5], "axes": ["batch", "sequence", ""]}
    ]
    assert manifest["ir_version"] == corpus.IR_VERSION
    assert {"domain": "", "version": corpus.OPSET} in manifest["opset_imports"]
    assert manifest["onnxruntime"] == onnxruntime.__version__
    assert manifest["session"].keys() == {
        "graph_optimization_level",
        "intra_op_num_threads",
        "enable_cpu_mem_arena",
        "enable_mem_pattern",
        "config",
    }
    assert manifest["reasons"]
    assert manifest["measurements"]["after"]["load_ms"] > 0
    listing = ""
    for part in manifest["parts"]:
        content = (tmp_path / "package" / part["path"]).read_bytes()
        assert (part["size"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        listing += f"{part['sha256']}  {part['path']}\n"
    assert [part["path"] for part in manifest["parts"]] == ["model.onnx", "model.onnx.data"]
    assert manifest["digest"] == f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def test_package_says_nothing_about_this_machine(prepared: Prepare, tmp_path: Path) -> None:
    made = corpus.mlp()
    made.graph.doc_string = made.graph.node[0].doc_string = "made in /home/somebody"
    entry = made.graph.node[1].metadata_props.add()
    entry.key, entry.value = "stack_trace", "/home/somebody/train.py"
    label = made.metadata_props.add()
    label.key, label.value = "classes", "cat,dog"
    prepared(made)
    for file in ("model.onnx", "manifest.json"):
        content = (tmp_path / "package" / file).read_bytes()
        assert b"/home/somebody" not in content
        assert str(tmp_path).encode() not in content
    assert [(p.key, p.value) for p in onnx.load(tmp_path / "package" / "model.onnx").metadata_props] == [
        ("classes", "cat,dog")
    ]


@pytest.mark.parametrize("kind", ["mlp", "cnn", "control_flow", "shared"])
def test_same_model_gives_same_parts(kind: str, in_process: None, tmp_path: Path) -> None:
    made, digests = corpus.CORPUS[kind](), set()
    for number, external in enumerate([False, True, False]):
        scratch = tmp_path / f"{number}"
        model = read_model(corpus.save(made, scratch / "given" / "m.onnx", external=external))
        variants, _ = make_variants(model, scratch, "as-is", [])
        digests.add(tuple(digest_of({file.name: file for file in variant.files}) for variant in variants))
    assert len(digests) == 1


def test_calls_that_only_a_cpu_of_this_kind_could_serve_are_not_baked_in(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.cnn(), objective="latency")
    domains = {node.domain for node in onnx.load(tmp_path / "package" / "model.onnx").graph.node}
    assert "com.microsoft.nchwc" not in domains


def test_model_in_a_directory_is_named_after_it(prepared: Prepare, tmp_path: Path) -> None:
    corpus.save(corpus.no_initializers(), tmp_path / "my model" / "model.onnx")
    assert prepared(tmp_path / "my model").manifest["name"] == "my-model"


def test_a_package_can_be_prepared_again_in_place(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.mlp())
    again = prepared(tmp_path / "package", force=True)
    assert again.parity[0].within == 1.0
    assert again.manifest["name"] == "package"
    assert {file.name for file in tmp_path.iterdir()} == {"given", "package"}
