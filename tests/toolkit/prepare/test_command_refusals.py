"""What the command refuses, as a user sees it; and that doing what the message says mends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

from onnx_inference.cli import main
from onnx_inference.prepare.onnxruntime_support import newest_ir_version, newest_opset
from tests.support import corpus

pytestmark = pytest.mark.usefixtures("in_process")

Mend = Callable[[], Sequence[str | Path]]
"""Does to the files what the message says, and gives the options that it names."""


def call(model: Path, *options: str | Path) -> tuple[int, str]:
    arguments = ["prepare", model, "-o", model.parent / "package", "--rounds", "1", *options]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def truncated(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    whole = corpus.save(corpus.mlp(), path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return "model-not-onnx", "Fetch the file again", [], lambda: [path.write_bytes(whole)][1:]


def weights_missing(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    weights = corpus.save(corpus.mlp(), path, external=True).with_name("m.onnx.weights")
    weights.rename(path.with_name("elsewhere"))

    def mend() -> Sequence[str]:
        path.with_name("elsewhere").rename(weights)
        return []

    return "model-weights-missing", "Put that file beside the .onnx file", [], mend


def weights_cut_off(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    weights = corpus.save(corpus.mlp(), path, external=True).with_name("m.onnx.weights")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    return "model-weights-cut-off", "Fetch the file again", [], lambda: [weights.write_bytes(whole)][1:]


def weights_outside(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    corpus.save(corpus.mlp(), path, external=True)
    made = onnx.load(path, load_external_data=False)
    path.with_name("m.onnx.weights").rename(path.parent.parent / "w")
    for tensor in made.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = "../w"
    path.write_bytes(made.SerializeToString())

    def mend() -> Sequence[str]:
        (path.parent.parent / "w").rename(path.parent / "w")
        for tensor in made.graph.initializer:
            next(entry for entry in tensor.external_data if entry.key == "location").value = "w"
        path.write_bytes(made.SerializeToString())
        model = onnx.load(path)
        onnx.save(model, path, save_as_external_data=True, location="model.onnx.data")
        return []

    fix = "onnx.save(model, path, save_as_external_data=True, location='model.onnx.data')"
    return "model-weights-outside", fix, [], mend


def ir_version_too_new(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    model = corpus.mlp()
    model.ir_version = newest_ir_version() + 1
    corpus.save(model, path)

    def mend() -> Sequence[str]:
        model.ir_version = newest_ir_version()
        corpus.save(model, path)
        return []

    return "model-ir-version", f"Set model.ir_version = {newest_ir_version()} and save it again", [], mend


def opset_too_new(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    model = corpus.mlp()
    model.opset_import[0].version = newest_opset("") + 1
    corpus.save(model, path)

    def mend() -> Sequence[str]:
        corpus.save(onnx.version_converter.convert_version(model, newest_opset("")), path)
        return []

    return "model-opset", f"onnx.version_converter.convert_version(model, {newest_opset('')})", [], mend


def opset_too_old(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    model = corpus.model([node], [corpus.floats("x", 3)], [corpus.floats("y", 3)])
    model.opset_import[0].version = 6
    corpus.save(model, path)

    def mend() -> Sequence[str]:
        corpus.save(onnx.version_converter.convert_version(model, 17), path)
        return []

    return "model-opset", "onnx.version_converter.convert_version(model, 17)", [], mend


def operator_unknown(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    ends = [corpus.floats("x", "n")], [corpus.floats("y", "n")]
    node = helper.make_node("Swish2", ["x"], ["y"], domain="my.layers")
    corpus.save(corpus.model([node], *ends, domains={"my.layers": 1}), path)

    def mend() -> Sequence[str]:
        standard = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
        corpus.save(corpus.model(standard, *ends), path)
        return []

    return "model-operator", "write it in standard operators", [], mend


def goldens_not_finite(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    """Defined above 10 only, where made-up inputs never are."""
    nodes = [helper.make_node("Sub", ["x", "ten"], ["above"]), helper.make_node("Log", ["above"], ["y"])]
    ten = onnx.numpy_helper.from_array(np.array(10, np.float32), "ten")
    corpus.save(corpus.model(nodes, [corpus.floats("x", "n")], [corpus.floats("y", "n")], [ten]), path)
    real = path.with_name("real.npz")
    np.savez(real, x=np.array([[11, 12, 13]], np.float32))
    return "goldens-not-finite", "Give real inputs with --goldens FILE.npz", [], lambda: ["--goldens", real]


def parity_broken(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    """Weights of very different sizes in one column: 7 bits cannot hold both."""
    model = corpus.mlp(layers=6)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("w"):
            array = onnx.numpy_helper.to_array(tensor).copy()
            array[0] *= 3000
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    corpus.save(model, path)
    return "parity", "or leave --quantize out", ["--quantize", "int8"], lambda: []


def too_large(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    corpus.save(corpus.transformer(vocabulary=20_000), path)
    options = ["--max-size", "2MB"]
    return "budget-size", "Try --quantize int8", options, lambda: [*options, "--quantize", "int8"]


def too_slow(path: Path) -> tuple[str, str, Sequence[str], Mend]:
    corpus.save(corpus.mlp(), path)
    return "budget-load", "raise --max-load-ms", ["--max-load-ms", "0.0001"], lambda: ["--max-load-ms", "60000"]


@pytest.mark.parametrize(
    "case",
    [
        truncated,
        weights_missing,
        weights_cut_off,
        weights_outside,
        ir_version_too_new,
        opset_too_new,
        opset_too_old,
        operator_unknown,
        goldens_not_finite,
        parity_broken,
        too_large,
        too_slow,
    ],
)
def test_refused_with_what_mends_it(
    case: Callable[[Path], tuple[str, str, Sequence[str], Mend]], tmp_path: Path
) -> None:
    path = tmp_path / "given" / "m.onnx"
    code, fix, options, mend = case(path)
    status, output = call(path, *options)
    assert status == 1, output
    problem, told = output.splitlines()[-2:]
    assert problem.startswith(f"Error ({code}): ")
    assert fix in told
    assert not (path.parent / "package").exists()
    status, output = call(path, *mend())
    assert status == 0, output
    assert json.loads((path.parent / "package" / "manifest.json").read_text())["name"] == "m"
