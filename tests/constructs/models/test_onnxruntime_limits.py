"""The limits are those of the release that the image pins, found out by loading models."""

from __future__ import annotations

import re

import onnxruntime
import pytest
from onnx import ModelProto, helper

from cdk_onnx_inference.models import _onnxruntime_limits as limits
from tests.support import models
from tests.support.synth import ROOT


def loads(model: ModelProto) -> bool:
    try:
        onnxruntime.InferenceSession(model.SerializeToString())
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        return False
    return True


def test_are_of_the_release_that_the_image_pins() -> None:
    pinned = re.search(r"^onnxruntime==(\S+)", (ROOT / "runtime" / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    assert pinned[1] == limits.ONNXRUNTIME == onnxruntime.__version__


@pytest.mark.parametrize("above", [0, 1])
def test_ir_version(above: int) -> None:
    model = models.matmul()
    model.ir_version = limits.MAX_IR_VERSION + above
    assert loads(model) == (above == 0)


@pytest.mark.parametrize("above", [0, 1])
@pytest.mark.parametrize("domain", sorted(limits.MAX_OPSETS))
def test_opsets(domain: str, above: int) -> None:
    model = models.matmul()
    del model.opset_import[:]
    versions = {"": models.OPSET, domain: limits.MAX_OPSETS[domain] + above}
    model.opset_import.extend(helper.make_opsetid(name, version) for name, version in versions.items())
    assert loads(model) == (above == 0)
