"""Models of more than 2 GB, which no protobuf message holds. Opt in: ONNX_INFERENCE_LARGE_MODELS=1 (9 GB of disk)."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import onnx
import pytest

from onnx_inference.prepare.model_package import read_package
from onnx_inference.prepare.preparation import Prepared, prepare
from onnx_inference.prepare.request import Request
from onnx_inference.prepare.weight_files import ALIGNMENT
from tests.support import corpus
from tests.support.quick_preparation import NoSteps

pytestmark = pytest.mark.skipif(
    not os.environ.get("ONNX_INFERENCE_LARGE_MODELS"), reason="takes minutes; set ONNX_INFERENCE_LARGE_MODELS=1"
)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.save_large(tmp_path_factory.mktemp("large") / "model.onnx")


def package_of(model: Path, output: Path, **request: object) -> Prepared:
    return prepare(Request(**{"model": model, "output": output, "rounds": 1, **request}), NoSteps())  # type: ignore[arg-type]


def test_more_than_2_gb(large: Path, tmp_path: Path) -> None:
    result = package_of(large, tmp_path / "package")
    package = read_package(tmp_path / "package")
    assert package.size > 2**31
    assert package.graph.stat().st_size < 10_000
    assert result.parity[0].within == 1.0
    assert result.manifest["session"]["config"] == {"session.disable_prepacking": "1"}
    for tensor in onnx.load(package.graph, load_external_data=False).graph.initializer:
        assert int({entry.key: entry.value for entry in tensor.external_data}["offset"]) % ALIGNMENT == 0
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert own < 2**31, "the command's own process never holds the weights"


def test_more_than_2_gb_in_8_bits(large: Path, tmp_path: Path) -> None:
    result = package_of(large, tmp_path / "package", precision="int8-dynamic", min_agreement=0.0)
    assert result.size_after < 0.3 * result.size_before
