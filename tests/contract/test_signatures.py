"""What synth reads of a graph is what onnxruntime says of it."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from cdk_onnx_inference.models._onnx_file import read_onnx_file
from cdk_onnx_inference.models._signature import Signature
from onnx_handler.tensors import codecs
from tests.support import models


def signature(tmp_path: Path, made: onnx.ModelProto) -> Signature | None:
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    return read_onnx_file(path).signature


@pytest.mark.parametrize(
    "element_type", [number for number in TensorProto.DataType.values() if number != TensorProto.UNDEFINED]
)
def test_signature_has_the_datatypes_that_the_handler_has(tmp_path: Path, element_type: int) -> None:
    proto_name = TensorProto.DataType.Name(element_type).lower()
    expected = codecs.FROM_ONNX.get(f"tensor({proto_name})")
    found = signature(tmp_path, models.identity(element_type))
    assert (found.inputs[0].datatype if found else None) == expected


def test_signature_is_what_onnxruntime_says(tmp_path: Path) -> None:
    """Inputs with an initializer are optional, and no inputs of a session; those of subgraphs are nobody's."""
    made = models.matmul()
    made.graph.input.append(models.tensor("weights", TensorProto.FLOAT, [4, 3]))
    found = signature(tmp_path, made)
    assert found is not None
    session = onnxruntime.InferenceSession(made.SerializeToString())
    for ours, theirs in ((found.inputs, session.get_inputs()), (found.outputs, session.get_outputs())):
        assert [(tensor.name, tensor.datatype) for tensor in ours] == [
            (argument.name, codecs.FROM_ONNX[argument.type]) for argument in theirs
        ]
