"""Model packages: prepared by the command, requested with tritonclient, and compared with the original model.

The reference is always the model before it was prepared, in onnxruntime with its default options.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnxruntime
import tritonclient.http as triton
from click.testing import CliRunner
from ml_dtypes import bfloat16
from onnx import TensorProto

from onnx_inference.cli import main

Array = np.ndarray[Any, Any]

OPEN = {"auth": "none", "auth_reason": "the client under test cannot sign"}
"""Context of a prebuilt stack."""


def prepare(model: Path, package: Path, *options: str) -> None:
    """Runs the command."""
    result = CliRunner().invoke(main, ["prepare", str(model), "-o", str(package), "--rounds", "1", *options])
    assert result.exit_code == 0, result.output


def manifest_of(package: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((package / "manifest.json").read_text())
    return manifest


def golden_inputs(package: Path) -> list[dict[str, Array]]:
    samples = json.loads((package / "goldens" / "goldens.json").read_text())["samples"]
    return [dict(np.load(package / "goldens" / sample["inputs"], allow_pickle=False)) for sample in samples]


def served(url: str, package: Path, feed: dict[str, Array]) -> dict[str, Array]:
    """The outputs that tritonclient receives for one sample. Its inputs are sent as the manifest declares them."""
    manifest, inputs = manifest_of(package), []
    for declared in manifest["inputs"]:
        array = feed[declared["name"]]
        inputs.append(triton.InferInput(declared["name"], list(array.shape), declared["datatype"]))
        if declared["datatype"] == "BF16":
            array = array.astype(bfloat16)
        inputs[-1].set_data_from_numpy(array.astype(object) if array.dtype.kind == "U" else array)
    with triton.InferenceServerClient(urlsplit(url).netloc, network_timeout=120.0) as client:
        answer = client.infer(manifest["name"], inputs)
    outputs = {declared["name"]: answer.as_numpy(declared["name"]) for declared in manifest["outputs"]}
    return {name: array.astype(np.float32) if array.dtype == bfloat16 else array for name, array in outputs.items()}


def original(model: Path, feed: dict[str, Array]) -> dict[str, Array]:
    """The outputs of onnxruntime for one sample, in tritonclient's form: bytes for strings, float32 for BF16."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    if all(tensor.type != "tensor(bfloat16)" for tensor in (*session.get_inputs(), *session.get_outputs())):
        feed = {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in feed.items()}
        results = session.run(names, feed)
        return {name: _as_bytes(array) for name, array in zip(names, results, strict=True)}
    # session.run takes numpy arrays, and numpy has no BF16.
    narrow = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.astype(bfloat16), TensorProto.BFLOAT16)
        for name, array in feed.items()
    }
    values = session.run_with_ort_values(names, narrow)
    wide = [np.frombuffer(_raw(value), bfloat16).astype(np.float32).reshape(value.shape()) for value in values]
    return dict(zip(names, wide, strict=True))


def _as_bytes(array: Array) -> Array:
    if array.dtype != object:
        return array
    return np.array([text.encode() for text in array.ravel()], object).reshape(array.shape)


def _raw(value: onnxruntime.OrtValue) -> bytes:
    return ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())


def assert_parity(package: Path, pairs: list[tuple[dict[str, Array], dict[str, Array]]]) -> None:
    """Compares served and original outputs with the tolerances of the package itself: docs/model-package.md."""
    index = json.loads((package / "goldens" / "goldens.json").read_text())
    for name, limits in index["outputs"].items():
        shares = []
        for got, want in ((ours[name], theirs[name]) for ours, theirs in pairs):
            assert got.shape == want.shape
            assert got.dtype == want.dtype
            if want.dtype.kind != "f":
                same = got == want
            elif index["min_agreement"] is None or want.ndim < 2 or want.shape[-1] < 2:
                same = np.isclose(got, want, rtol=limits["rtol"], atol=limits["atol"])
            else:
                same = got.argmax(axis=-1) == want.argmax(axis=-1)
            shares.append(same.ravel())
        assert np.concatenate(shares).mean() >= (index["min_agreement"] or 1.0)
