"""Lower precision, asked for or already there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_inference.prepare import gates
from onnx_inference.prepare.errors import Refused
from tests.support import corpus
from tests.toolkit.prepare.conftest import Prepare


def operators(package: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(package / "model.onnx").graph.node)


def test_int8_dynamic(prepared: Prepare, tmp_path: Path) -> None:
    result = prepared(corpus.mlp(), precision="int8-dynamic", min_agreement=0.8)
    assert operators(tmp_path / "package")["MatMulInteger"] > 0
    assert result.size_after < 0.3 * result.size_before
    assert result.manifest["graph"] == {"optimization": "basic", "precision": "int8-dynamic"}
    assert result.parity[0].agreement >= 0.8


def test_int8_static(prepared: Prepare, tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", image=corpus.random(32, 3, 32, 32))
    result = prepared(corpus.cnn(), precision="int8-static", calibration=tmp_path / "real.npz", min_agreement=0.8)
    assert operators(tmp_path / "package")["QuantizeLinear"] > 0
    assert result.manifest["graph"] == {"optimization": "basic", "precision": "int8-static"}
    assert result.size_after < 0.6 * result.size_before


def test_weights_of_int8_have_seven_bits(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.mlp(), precision="int8-dynamic", min_agreement=0.5)
    weights = [
        onnx.numpy_helper.to_array(tensor, str(tmp_path / "package"))
        for tensor in onnx.load(tmp_path / "package" / "model.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    ]
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights if weight.size > 100) <= 64


def test_model_that_is_quantised_already_is_not_optimised_for_this_cpu(prepared: Prepare, tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", image=corpus.random(32, 3, 32, 32))
    prepared(corpus.cnn(), precision="int8-static", calibration=tmp_path / "real.npz", min_agreement=0.5)
    quantised = onnx.load(tmp_path / "package" / "model.onnx")
    result = prepared(quantised, output=tmp_path / "again")
    assert result.manifest["graph"] == {"optimization": "basic", "precision": "as-is"}
    assert operators(tmp_path / "again")["QuantizeLinear"] > 0
    assert not [operator for operator in operators(tmp_path / "again") if operator.startswith("QLinear")]


def test_fp16_keeps_inputs_and_outputs(prepared: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "FP16_SLOWER", 1e9)
    result = prepared(corpus.mlp(), precision="fp16", min_agreement=0.9)
    assert [spec["datatype"] for spec in (*result.manifest["inputs"], *result.manifest["outputs"])] == ["FP32", "FP32"]
    assert result.size_after < 0.6 * result.size_before


def test_fp16_that_is_slower_is_refused(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "FP16_SLOWER", 0.0)
    with pytest.raises(Refused, match="Leave --fp16 out") as refusal:
        prepared(corpus.mlp(), precision="fp16", min_agreement=0.5)
    assert refusal.value.code == "fp16-slower"


def test_nothing_to_quantise(prepared: Prepare) -> None:
    with pytest.raises(Refused, match="--calibration") as refusal:
        prepared(corpus.trees(), precision="int8-dynamic")
    assert refusal.value.code == "quantize-nothing"
