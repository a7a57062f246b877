"""The language example: its processing functions, and what its README states is what its files do."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "language"
GOLDENS = EXAMPLE / "goldens"
TRAINING_PACKAGES = ("django", "wagtail", "polib", "sklearn")
SENTENCE_LETTERS = 20

Identified: TypeAlias = tuple[list[str], np.ndarray]


@pytest.fixture(scope="module")
def processing() -> ModuleType:
    # As the handler loads it: by path, with nothing else of the folder importable.
    spec = importlib.util.spec_from_file_location("language_processing", EXAMPLE / "processing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return ort.InferenceSession(EXAMPLE / "model.onnx", providers=["CPUExecutionProvider"])


def request_of(**inputs: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(inputs=inputs, parameters={}, id=None)


def tensor(*texts: str | bytes) -> np.ndarray:
    array = np.empty(len(texts), dtype=np.object_)
    array[:] = [text.encode() if isinstance(text, str) else text for text in texts]
    return array


def identify(processing: ModuleType, session: ort.InferenceSession, *texts: str) -> Identified:
    (probabilities,) = session.run(["probabilities"], processing.preprocess(request_of(text=tensor(*texts))))
    outputs = processing.postprocess({"probabilities": probabilities})
    return [label.decode() for label in outputs["label"]], outputs["score"]


def golden(name: str) -> Any:
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))


def stated(pattern: str) -> tuple[int, int, float]:
    """Read `N of M` and the percentage from a row of the README's table."""
    row = re.search(
        rf"^\| {pattern} \| \**(\d+) of (\d+)\** \| ([\d.]+) % \|$",
        (EXAMPLE / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert row is not None, pattern
    return int(row[1]), int(row[2]), float(row[3])


def test_model_signature(processing: ModuleType, session: ort.InferenceSession) -> None:
    (ngrams,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (ngrams.name, ngrams.type) == ("ngrams", "tensor(float)")
    assert ngrams.shape == ["batch", processing.BUCKETS]
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert probabilities.shape == ["batch", len(processing.LABELS)]


def test_client_signature(processing: ModuleType) -> None:
    assert processing.INPUTS == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert processing.OUTPUTS == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "score", "datatype": "FP32", "shape": [-1]},
    ]


def test_file_is_small_and_self_contained() -> None:
    path = EXAMPLE / "model.onnx"
    assert path.stat().st_size < 500_000
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert all(weight.data_location == onnx.TensorProto.DEFAULT for weight in model.graph.initializer)


def test_processing_needs_only_numpy_and_the_standard_library() -> None:
    lines = (EXAMPLE / "processing.py").read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported - set(sys.stdlib_module_names) == {"numpy"}


def test_preprocess(processing: ModuleType) -> None:
    (name, ngrams), *others = processing.preprocess(request_of(text=tensor("Hello, world", "Привет"))).items()
    assert not others
    assert (name, ngrams.dtype, ngrams.shape) == ("ngrams", np.float32, (2, processing.BUCKETS))
    np.testing.assert_allclose(np.linalg.norm(ngrams, axis=1), 1.0, rtol=1e-6)


def test_preprocess_keeps_letters_only(processing: ModuleType) -> None:
    plain, noisy = processing.vectorize(["straße in köln", "  STRASSE_1 in: KO\u0308LN!".replace("SS", "ß")])
    np.testing.assert_array_equal(plain, noisy)


def test_preprocess_bounds_the_length_of_a_text(processing: ModuleType) -> None:
    limit = processing.MAX_CHARACTERS
    kept, cut = processing.vectorize(["a" * limit, "a" * limit + "b" * limit])
    np.testing.assert_array_equal(kept, cut)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "input 'text' is missing; inputs given: none"),
        ({"txt": tensor("a")}, "input 'text' is missing; inputs given: txt"),
        ({"text": np.zeros(1, dtype=np.float32)}, "must have datatype BYTES; got a tensor of float32"),
        ({"text": tensor("a").reshape(1, 1)}, r"one text per element; got shape \[1, 1\]"),
        ({"text": tensor("a", b"caf\xe9")}, "element 1, is not UTF-8: unexpected end of data at byte 3"),
        ({"text": np.array([1], dtype=np.object_)}, "element 0, must be bytes; got int"),
        ({"text": tensor(*["a"] * 1001)}, "may hold 1000 texts at most; got 1001"),
    ],
)
def test_preprocess_refuses(processing: ModuleType, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        processing.preprocess(request_of(**inputs))


def test_postprocess(processing: ModuleType) -> None:
    probabilities = np.full((2, len(processing.LABELS)), 0.01, dtype=np.float32)
    probabilities[0, processing.LABELS.index("fi")] = 0.81
    probabilities[1, processing.LABELS.index("zh")] = 0.81
    outputs = processing.postprocess({"probabilities": probabilities})
    assert outputs["label"].dtype == np.object_
    assert outputs["label"].tolist() == [b"fi", b"zh"]
    assert outputs["score"].dtype == np.float32
    np.testing.assert_allclose(outputs["score"], 0.81)


@pytest.mark.parametrize("text", ["", "   ", "1234", "?! ... 😀", "_"])
def test_no_letters(processing: ModuleType, session: ort.InferenceSession, text: str) -> None:
    labels, scores = identify(processing, session, text)
    assert labels == ["und"]
    np.testing.assert_allclose(scores, 1 / len(processing.LABELS), rtol=1e-5)


def test_batch_equals_one_by_one(processing: ModuleType, session: ort.InferenceSession) -> None:
    # Every other text is empty: a row must not depend on its neighbours.
    texts = [text for row in golden("sentences")[:20] for text in (row["text"], "")]
    labels, scores = identify(processing, session, *texts)
    for text, label, score in zip(texts, labels, scores, strict=True):
        alone_labels, alone_scores = identify(processing, session, text)
        assert alone_labels == [label]
        np.testing.assert_allclose(alone_scores, [score], rtol=1e-4)


def test_empty_batch(processing: ModuleType, session: ort.InferenceSession) -> None:
    labels, scores = identify(processing, session)
    assert labels == []
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_examples_in_the_readme(processing: ModuleType, session: ort.InferenceSession) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    body = re.search(r"```json\n(.*?)```\n\ngives the labels `(\w+)` and `(\w+)`", readme, re.DOTALL)
    assert body is not None
    (text,) = json.loads(body[1])["inputs"]
    assert (text["name"], text["datatype"], text["shape"]) == ("text", "BYTES", [len(text["data"])])
    assert identify(processing, session, *text["data"])[0] == [body[2], body[3]]
    assert identify(processing, session, "måned", "Wo ist der Bahnhof?")[0] == ["sv", "en"]


def test_sentences(processing: ModuleType, session: ort.InferenceSession) -> None:
    rows = golden("sentences")
    labels, scores = identify(processing, session, *[row["text"] for row in rows])
    assert labels == [row["label"] for row in rows]
    np.testing.assert_allclose(scores, [row["score"] for row in rows], atol=1e-3)
    assert Counter(labels) == Counter(dict.fromkeys(processing.LABELS, 2))
    assert stated("everyday sentences.*")[:2] == (len(rows), len(rows))


def test_stated_heldout_accuracy(processing: ModuleType, session: ort.InferenceSession) -> None:
    rows = golden("heldout")
    assert Counter(row["label"] for row in rows) == Counter(dict.fromkeys(processing.LABELS, 40))
    labels, _ = identify(processing, session, *[row["text"] for row in rows])
    right = np.array([label == row["label"] for label, row in zip(labels, rows, strict=True)])
    lengths = np.array([len(processing.letters(row["text"])) for row in rows])
    long = lengths >= SENTENCE_LETTERS

    assert stated("the committed sample.*")[:2] == (right.sum(), len(rows))
    assert stated("the committed sample.*\n.*20 letters or more")[:2] == (right[long].sum(), long.sum())
    assert golden("results")["heldout_sample"] == {
        "texts": len(rows),
        "correct": right.sum(),
        "sentences": long.sum(),
        "sentences_correct": right[long].sum(),
    }
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert f"fewer than ten letters it gets {right[lengths < 10].sum()} of {(lengths < 10).sum()};" in readme


def test_readme_states_the_results_of_training() -> None:
    whole, sample = golden("results")["heldout"], golden("results")["heldout_sample"]
    for row, facts, kind in (
        ("all held-out texts", whole, "texts"),
        ("all held-out texts.*\n.*20 letters or more", whole, "sentences"),
        ("the committed sample.*", sample, "texts"),
        ("the committed sample.*\n.*20 letters or more", sample, "sentences"),
    ):
        correct = facts["correct" if kind == "texts" else "sentences_correct"]
        assert stated(row) == (correct, facts[kind], round(100 * correct / facts[kind], 1))


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in TRAINING_PACKAGES),
    reason="retraining needs examples/language/requirements.txt, which the tests do not install",
)
def test_retraining_gives_the_stated_accuracy(tmp_path: Path) -> None:
    # Not the same bytes: another CPU may sum in another order.
    command = [sys.executable, str(EXAMPLE / "train.py"), "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    retrained = json.loads((tmp_path / "goldens" / "results.json").read_text(encoding="utf-8"))
    committed = golden("results")
    assert retrained["training_texts"] == committed["training_texts"]
    assert retrained["heldout"]["texts"] == committed["heldout"]["texts"]
    assert abs(retrained["heldout"]["correct"] - committed["heldout"]["correct"]) <= 10
