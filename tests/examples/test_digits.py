"""The digits example: what its README states is what its files do."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
GOLDENS = EXAMPLE / "goldens"
TRAINING_PACKAGES = ("torch", "sklearn", "onnxscript")

Labelled: TypeAlias = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return ort.InferenceSession(EXAMPLE / "model.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def heldout() -> Labelled:
    with np.load(GOLDENS / "heldout.npz") as stored:
        images = (stored["pixels"].astype(np.float32) / 16).reshape(-1, 1, 8, 8)
        return images, stored["labels"]


def logits(session: ort.InferenceSession, images: np.ndarray) -> np.ndarray:
    (result,) = session.run(["logits"], {"image": images})
    return np.asarray(result)


def facts() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDENS / "goldens.json").read_text(encoding="utf-8"))
    return loaded


def test_signature(session: ort.InferenceSession) -> None:
    (image,), (scores,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["batch", 1, 8, 8])
    assert (scores.name, scores.type, scores.shape) == ("logits", "tensor(float)", ["batch", 10])


def test_file_is_small_and_self_contained() -> None:
    path = EXAMPLE / "model.onnx"
    assert path.stat().st_size < 200_000
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_file_says_nothing_about_the_machine_that_made_it() -> None:
    model = onnx.load(EXAMPLE / "model.onnx")
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        assert not part.doc_string
        assert not part.metadata_props


def test_stated_heldout_accuracy(session: ort.InferenceSession, heldout: Labelled) -> None:
    images, labels = heldout
    correct = int((logits(session, images).argmax(axis=1) == labels).sum())
    stated = re.search(
        r"\*\*(\d+) of (\d+)\*\* held-out images are right \(([\d.]+) %\)",
        (EXAMPLE / "README.md").read_text(encoding="utf-8"),
    )
    assert stated is not None
    assert (int(stated[1]), int(stated[2])) == (correct, len(labels))
    assert stated[3] == f"{100 * correct / len(labels):.2f}"
    assert facts()["heldout"] == {"images": len(labels), "correct": correct}
    assert correct / len(labels) >= 0.98


def test_goldens(session: ort.InferenceSession) -> None:
    images, labels, expected = (np.load(GOLDENS / f"{name}.npy") for name in ("images", "labels", "logits"))
    assert sorted(labels.tolist()) == [digit for digit in range(10) for _ in range(2)]
    result = logits(session, images)
    tolerance = facts()["tolerance"]
    np.testing.assert_allclose(result, expected, atol=tolerance["absolute"], rtol=tolerance["relative"])
    assert result.argmax(axis=1).tolist() == labels.tolist()


@pytest.mark.parametrize("size", [0, 1, 7])
def test_any_batch_size(session: ort.InferenceSession, heldout: Labelled, size: int) -> None:
    assert logits(session, heldout[0][:size]).shape == (size, 10)


def test_request_in_the_readme(session: ort.InferenceSession) -> None:
    body = re.search(r"```json\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert body is not None
    (tensor,) = json.loads(body[1])["inputs"]
    image = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    np.testing.assert_array_equal(image, np.load(GOLDENS / "images.npy")[:1])
    assert logits(session, image).argmax() == 0


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in TRAINING_PACKAGES),
    reason="retraining needs examples/digits/requirements.txt, which the tests do not install",
)
def test_retraining_gives_the_stated_accuracy(tmp_path: Path) -> None:
    # Not the same bytes: another CPU may sum in another order.
    command = [sys.executable, str(EXAMPLE / "train.py"), "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    retrained = json.loads((tmp_path / "goldens" / "goldens.json").read_text(encoding="utf-8"))["heldout"]
    committed = facts()["heldout"]
    assert retrained["images"] == committed["images"]
    assert abs(retrained["correct"] - committed["correct"]) <= 2
