from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cdk_onnx_inference.models._onnx_file import OnnxFile, UnreadableOnnxFile, is_git_lfs_pointer, read_onnx_file
from cdk_onnx_inference.models._signature import Signature, Tensor
from tests.support import models

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path, content: bytes) -> OnnxFile:
    return read_onnx_file(write(path, content))


def external(name: str, **entries: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def attribute(tensor: TensorProto) -> onnx.AttributeProto:
    return onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)


def test_versions_and_weights(tmp_path: Path) -> None:
    model = models.matmul()
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    assert read(tmp_path / "m.onnx", model.SerializeToString()) == OnnxFile(
        ir_version=models.IR_VERSION,
        opsets={"": models.OPSET, "ai.onnx.ml": 3},
        external_data={},
        weights_in_graph=12 * 4,
        signature=Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 3)),)),
    )


def signature(tmp_path: Path, made: onnx.ModelProto) -> Signature | None:
    return read(tmp_path / "m.onnx", made.SerializeToString()).signature


@pytest.mark.parametrize(
    ("shape", "expected"), [((), ()), (None, ()), ((0, 3), (0, 3)), (("n", "m"), (-1, -1)), ((2, "n"), (2, -1))]
)
def test_signature_has_shapes(tmp_path: Path, shape: models.Shape | None, expected: tuple[int, ...]) -> None:
    found = signature(tmp_path, models.identity(shape=shape))
    assert found is not None
    assert (found.inputs[0].shape, found.outputs[0].shape) == (expected, expected)


def test_dimensions_without_a_value_are_of_any_size(tmp_path: Path) -> None:
    made = models.identity(shape=("n", 3, 4))
    dimensions = made.graph.input[0].type.tensor_type.shape.dim
    dimensions[1].ClearField("dim_value")
    dimensions[2].dim_value = -1
    found = signature(tmp_path, made)
    assert found is not None
    assert found.inputs[0].shape == (-1, -1, -1)


def test_no_signature_of_what_the_protocol_cannot_carry(tmp_path: Path) -> None:
    made = models.identity()
    made.graph.output[0].CopyFrom(
        helper.make_value_info("y", helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [2])))
    )
    assert signature(tmp_path, made) is None


def test_both_spellings_of_the_standard_domain(tmp_path: Path) -> None:
    model = models.matmul()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 20))
    assert read(tmp_path / "m.onnx", model.SerializeToString()).opsets == {"": models.OPSET}


def test_external_data_as_the_onnx_package_writes_it(tmp_path: Path) -> None:
    model = models.matmul()
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    read_back = read_onnx_file(tmp_path / "m.onnx")
    assert read_back.external_data == {"weights.bin": (tmp_path / "weights.bin").stat().st_size}
    assert read_back.weights_in_graph == 0


def test_external_data_wherever_a_tensor_can_be(tmp_path: Path) -> None:
    branch = helper.make_graph([], "branch", [], [], [external("in_branch", location="branch.bin")])
    sparse = onnx.SparseTensorProto(values=external("v", location="values.bin"), dims=[4])
    sparse.indices.CopyFrom(external("i", location="indices.bin"))
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.append(attribute(external("c", location="constant.bin")))
    conditional = helper.make_node("If", ["x"], ["y"], then_branch=branch)
    model = models.model([constant, conditional], [], [], [external("w", location="initializer.bin")])
    model.graph.sparse_initializer.append(sparse)
    function = model.functions.add(name="f", domain="d")
    node = function.node.add(op_type="Constant")
    node.attribute.append(attribute(external("f", location="function.bin")))
    locations = read(tmp_path / "m.onnx", model.SerializeToString()).external_data
    assert sorted(locations) == [
        "branch.bin",
        "constant.bin",
        "function.bin",
        "indices.bin",
        "initializer.bin",
        "values.bin",
    ]


def test_a_location_needs_as_many_bytes_as_its_last_tensor_ends_at(tmp_path: Path) -> None:
    tensors = [
        external("a", location="w", offset="4096", length="100"),
        external("b", location="w", offset="0", length="4096"),
    ]
    model = models.model([], [], [], tensors)
    assert read(tmp_path / "m.onnx", model.SerializeToString()).external_data == {"w": 4196}


def test_weights_of_every_kind_of_field_count(tmp_path: Path) -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[3], float_data=[1, 2, 3])
    raw = onnx.numpy_helper.from_array(np.zeros(5, np.float32), "raw")
    model = models.model([], [], [], [tensor, raw])
    assert read(tmp_path / "m.onnx", model.SerializeToString()).weights_in_graph == 3 * 4 + 5 * 4


def test_an_old_model_without_operator_sets(tmp_path: Path) -> None:
    model = models.matmul()
    model.ir_version = 2
    del model.opset_import[:]
    assert read(tmp_path / "m.onnx", model.SerializeToString()).opsets == {}


def nested(depth: int) -> bytes:
    """A model whose graph has a graph in an attribute, and so on. Built by hand: the onnx package refuses it."""

    def field(number: int, content: bytes) -> bytes:
        length, varint = len(content), b""
        while length >= 0x80:
            varint += bytes([length & 0x7F | 0x80])
            length >>= 7
        return bytes([number << 3 | 2]) + varint + bytes([length]) + content

    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return b"\x08\x0a" + field(8, b"\x10\x15") + field(7, graph)


def test_graphs_in_graphs(tmp_path: Path) -> None:
    assert read(tmp_path / "m.onnx", nested(50)).ir_version == 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (LFS_POINTER, "not a"),
        (b"PK\x03\x04 a zip file, as PyTorch writes it", "not a"),
        (b"\x80\x02}q\x00.", "not a"),
        (b"\x24\x00\x00\x00ORTM\x00\x00", r"\.ort"),
        (b"<html>404</html>", "not a"),
        (b"\x08\x0a", "no graph"),
        (b"\x3a\x00", "no graph or no IR version"),
        (b"\x08\x0a\x3a\x00", "no operator set"),
        (b"\x3d\x00\x00\x00\x00", "not a"),
        (b"\x0a\x00", "another type"),
        (b"\x08\x0a\x3a\x7f", "cut off"),
        (b"\x08" + b"\xff" * 11, "cut off"),
        (b"\x0b\x0c", "not a protobuf"),
        (b"\x00\x00", "not a protobuf"),
        (nested(200), "nested"),
    ],
)
def test_fails_on_what_is_no_onnx_model(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableOnnxFile, match=reason):
        read(tmp_path / "m.onnx", content)


def test_fails_on_an_offset_that_is_no_number(tmp_path: Path) -> None:
    model = models.model([], [], [], [external("w", location="w", offset="many")])
    with pytest.raises(UnreadableOnnxFile, match="no number"):
        read(tmp_path / "m.onnx", model.SerializeToString())


@given(cut=st.integers(0, 300))
def test_a_cut_off_file_is_read_or_refused(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = models.matmul().SerializeToString()
    _read_or_refuse(tmp_path_factory.getbasetemp() / "cut.onnx", content[: len(content) - cut])


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_file_with_a_wrong_byte_is_read_or_refused(
    position: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(models.matmul().SerializeToString())
    content[position % len(content)] = byte
    _read_or_refuse(tmp_path_factory.getbasetemp() / "wrong.onnx", bytes(content))


@given(content=st.binary(max_size=400))
def test_any_file_is_read_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    _read_or_refuse(tmp_path_factory.getbasetemp() / "any.onnx", content)


def _read_or_refuse(path: Path, content: bytes) -> None:
    with contextlib.suppress(UnreadableOnnxFile):
        assert read(path, content).ir_version > 0


def test_git_lfs_pointer(tmp_path: Path) -> None:
    assert is_git_lfs_pointer(write(tmp_path / "p", LFS_POINTER))
    assert not is_git_lfs_pointer(write(tmp_path / "m", models.matmul().SerializeToString()))
    assert not is_git_lfs_pointer(write(tmp_path / "e", b""))
