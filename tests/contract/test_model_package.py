"""The model package: what the toolkit writes, the constructs take and the handler serves."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from cdk_onnx_inference import ModelSource
from cdk_onnx_inference.models._local_model import GRAPH, collect
from cdk_onnx_inference.models._onnxruntime_limits import MAX_IR_VERSION, MAX_OPSETS, ONNXRUNTIME
from onnx_handler.models import session as handler_session
from onnx_handler.tensors.codecs import FROM_ONNX
from onnx_handler.tensors.signature import from_session
from onnx_inference.prepare import bench, model_package, signature
from onnx_inference.prepare.onnxruntime_support import newest_ir_version, newest_opset
from onnx_inference.prepare.preparation import prepare
from onnx_inference.prepare.request import Request
from tests.support import corpus
from tests.support.quick_preparation import NoSteps


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contract")
    model = corpus.save(corpus.mlp(), folder / "m.onnx")
    prepare(Request(model=model, output=folder / "scores", rounds=1), NoSteps())
    return folder / "scores"


def test_the_constructs_take_a_package_and_agree_on_its_digest(package: Path) -> None:
    files, problems = collect("model", ModelSource.in_image(package))
    assert problems == []
    assert files is not None
    assert files.digest == json.loads((package / "manifest.json").read_text())["digest"]
    assert files.files.keys() == {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    assert files.weights_in_graph < 100_000


def test_the_handler_loads_a_package(package: Path) -> None:
    session = handler_session.open_session(str(package), 1769)
    manifest = json.loads((package / "manifest.json").read_text())
    for member, arguments in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        specs = from_session(arguments, declared=False)
        assert manifest[member] == [
            {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape), "axes": list(spec.axes)}
            for spec in specs
        ]


def test_names_that_both_sides_have() -> None:
    assert GRAPH == model_package.GRAPH
    assert FROM_ONNX == signature.DATATYPES
    assert handler_session.MB_PER_VCPU == bench.MB_PER_VCPU
    for size in (128, 1769, 1770, 2653, 2654, 10240):
        assert bench.thread_count(size) == handler_session.thread_count(size, bench.cores())


@pytest.mark.skipif(version("onnxruntime") != ONNXRUNTIME, reason="the limits are those of the image's onnxruntime")
def test_limits_that_are_asked_for_are_those_that_synth_knows() -> None:
    assert newest_ir_version() == MAX_IR_VERSION
    assert {domain: newest_opset(domain) for domain in MAX_OPSETS} == MAX_OPSETS
