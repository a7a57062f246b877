"""Tensors cast, and written and read in JSON and as bytes."""

import numpy as np
import pytest

from onnx_inference.datatypes import NUMPY_NAMES
from onnx_inference.infer import tensors
from onnx_inference.infer.tensors import TensorMismatch, TensorSpec


@pytest.mark.parametrize(("datatype", "name"), sorted(NUMPY_NAMES.items()))
def test_datatypes_go_there_and_back(datatype, name):
    values = np.array([[0, 1], [1, 0]], dtype=name)
    spec = TensorSpec("t", datatype, (-1, 2))
    array = tensors.cast(values.tolist() if datatype not in ("FP16",) else values, spec)
    assert array.dtype == values.dtype
    assert np.array_equal(tensors.from_bytes(tensors.to_bytes(array, datatype), datatype, (2, 2)), values)
    assert np.array_equal(tensors.from_json(tensors.to_json(array), datatype, (2, 2)), values)


def test_text_goes_there_and_back():
    array = tensors.cast([["a"], ["ü€"]], TensorSpec("t", "BYTES", (-1, 1)))
    raw = tensors.to_bytes(array, "BYTES")
    assert raw == b"\x01\x00\x00\x00a\x05\x00\x00\x00" + "ü€".encode()
    assert tensors.from_bytes(raw, "BYTES", (2, 1)).tolist() == [["a"], ["ü€"]]
    assert tensors.to_json(array) == ["a", "ü€"]


def test_numbers_outside_a_datatype_are_refused():
    with pytest.raises(TensorMismatch, match="outside the range of UINT8"):
        tensors.cast([300], TensorSpec("t", "UINT8", (1,)))
    with pytest.raises(TensorMismatch, match="float64 given, the model takes INT64"):
        tensors.cast([1.5], TensorSpec("t", "INT64", (1,)))
    assert tensors.cast([3], TensorSpec("t", "UINT8", (1,))).dtype == np.uint8
