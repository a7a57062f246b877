"""Train the language model and write model.onnx and goldens/ beside this file.

    pip install -r requirements.txt
    python train.py                     # overwrites the committed files
    python train.py --output /elsewhere

The texts are the messages that Django and Wagtail show their users, in the translations both packages ship.
"""

import argparse
import hashlib
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import django
import numpy as np
import onnx
import polib
import wagtail
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from processing import BUCKETS, LABELS, letters, vectorize

HERE = Path(__file__).resolve().parent
SOURCES = (django, wagtail)
# A language's catalogues are in a directory of its own name, but for these.
LOCALES = {"pt": ("pt", "pt_BR", "pt_PT"), "tr": ("tr", "tr_TR"), "zh": ("zh_Hans",)}
# Placeholders, markup and addresses are the same in all languages.
NOT_TEXT = re.compile(r"%\([^)]*\)[a-z]|%[a-z%]|\{[^}]*\}|<[^>]*>|&\w+;|https?://\S+")
HELD_OUT_PERCENT = 15
SAMPLES_PER_LABEL = 40
SENTENCE_LETTERS = 20
INVERSE_REGULARIZATION = 10.0
OPSET = 17
IR_VERSION = 8


class Message(NamedTuple):
    """One text in one language, with the English message it translates."""

    label: str
    text: str
    source: str


def clean(text: str) -> str:
    """Drop what is not text, and make every run of white space one space."""
    return " ".join(NOT_TEXT.sub(" ", text).split())


def catalogue_entries(label: str) -> Iterator[tuple[str, str]]:
    """Yield (English, translation) from every catalogue of a language, in a fixed order."""
    for package in SOURCES:
        root = Path(str(package.__file__)).parent
        for locale in LOCALES.get(label, (label,)):
            for path in sorted(root.rglob(f"{locale}/LC_MESSAGES/*.mo")):
                for entry in polib.mofile(str(path)):
                    yield entry.msgid, entry.msgstr
                    for translation in entry.msgstr_plural.values():
                        yield entry.msgid_plural, translation


def messages() -> list[Message]:
    """Return every distinct text; one that two languages share says nothing about either, and is left out."""
    found: dict[tuple[str, str], Message] = {}
    for label in LABELS:
        if label == "en":
            continue
        for english, translation in catalogue_entries(label):
            source = letters(clean(english))
            for name, text in (("en", clean(english)), (label, clean(translation))):
                found.setdefault((name, letters(text)), Message(name, text, source))
    languages: dict[str, set[str]] = defaultdict(set)
    for label, key in found:
        languages[key].add(label)
    return [found[label, key] for label, key in sorted(found) if len(key) >= 2 and len(languages[key]) == 1]


def is_held_out(message: Message) -> bool:
    """Split by the English message, so that a message is on the same side in all languages."""
    return zlib.crc32(message.source.encode()) % 100 < HELD_OUT_PERCENT


def features(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return what the handler would feed to the model, kept sparse: dense, it would take half a gigabyte."""
    return sparse.vstack(
        [sparse.csr_matrix(vectorize(texts[start : start + 1000])) for start in range(0, len(texts), 1000)],
        format="csr",
    )


def fit(training: Sequence[Message]) -> LogisticRegression:
    """Fit a linear model without a bias: a text without n-grams then makes all languages equally probable."""
    model = LogisticRegression(C=INVERSE_REGULARIZATION, fit_intercept=False, max_iter=500)
    with threadpool_limits(limits=1):
        model.fit(features([m.text for m in training]), [LABELS.index(m.label) for m in training])
    return model


def export(weights: np.ndarray, path: Path) -> None:
    """Write ngrams [batch, BUCKETS] -> MatMul -> Softmax -> probabilities [batch, languages]."""
    helper, floating = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes=[
            helper.make_node("MatMul", ["ngrams", "weights"], ["logits"], name="score"),
            helper.make_node("Softmax", ["logits"], ["probabilities"], name="normalize", axis=1),
        ],
        name="language",
        inputs=[helper.make_tensor_value_info("ngrams", floating, ["batch", BUCKETS])],
        outputs=[helper.make_tensor_value_info("probabilities", floating, ["batch", len(LABELS)])],
        initializer=[onnx.numpy_helper.from_array(np.ascontiguousarray(weights, np.float32), "weights")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="train.py"
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def sample(held_out: Sequence[Message]) -> list[Message]:
    """Choose as many held-out texts of every language, by a hash and not by what the model makes of them."""

    def rank(message: Message) -> str:
        return hashlib.sha256(f"{message.label}\t{message.text}".encode()).hexdigest()

    chosen = []
    for label in LABELS:
        chosen += sorted((m for m in held_out if m.label == label), key=rank)[:SAMPLES_PER_LABEL]
    return chosen


def count_correct(model: LogisticRegression, texts: Sequence[Message]) -> dict[str, int]:
    """Count the texts and the right answers, over all of them and over those as long as a short sentence."""
    right = model.predict(features([m.text for m in texts])) == [LABELS.index(m.label) for m in texts]
    long = np.array([len(letters(m.text)) >= SENTENCE_LETTERS for m in texts])
    return {
        "texts": len(texts),
        "correct": int(right.sum()),
        "sentences": int(long.sum()),
        "sentences_correct": int(right[long].sum()),
    }


def write_json(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write one row per line, so that a change is seen in a diff."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Train, export, and write the goldens."""
    parser = argparse.ArgumentParser(description="Train the language model.")
    parser.add_argument("--output", type=Path, default=HERE, help="directory to write to (default: this one)")
    output: Path = parser.parse_args().output
    (output / "goldens").mkdir(parents=True, exist_ok=True)

    everything = messages()
    training = [m for m in everything if not is_held_out(m)]
    held_out = [m for m in everything if is_held_out(m)]
    model = fit(training)
    export(model.coef_.T, output / "model.onnx")

    # Everyday sentences, written for this example: nothing like the texts it was trained on.
    sentences = json.loads((HERE / "goldens" / "sentences.json").read_text(encoding="utf-8"))
    scores = model.predict_proba(features([row["text"] for row in sentences])).max(axis=1)
    scored = [{**row, "score": round(float(score), 4)} for row, score in zip(sentences, scores, strict=True)]
    write_json(output / "goldens" / "sentences.json", scored)

    chosen = sample(held_out)
    write_json(output / "goldens" / "heldout.json", [{"label": m.label, "text": m.text} for m in chosen])
    facts = {
        "training_texts": len(training),
        "heldout": count_correct(model, held_out),
        "heldout_sample": count_correct(model, chosen),
    }
    (output / "goldens" / "results.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
