"""Text in, language out: what the model needs before it runs, and what its answer means.

The handler calls `preprocess` before the model and `postprocess` after it, and shows clients INPUTS and
OUTPUTS in place of the model's own signature. Only numpy and the standard library are used, so the image
needs nothing more.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

INPUTS = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [
    {"name": "label", "datatype": "BYTES", "shape": [-1]},
    {"name": "score", "datatype": "FP32", "shape": [-1]},
]

# ISO 639-1, in the order of the model's outputs.
LABELS = (
    *("ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "it"),
    *("ja", "ko", "nl", "pl", "pt", "ru", "sv", "tr", "uk", "zh"),
)
# ISO 639-2 for "undetermined": the text holds no letter.
UNDETERMINED = "und"

# Changing any of these takes a newly trained model.
BUCKETS = 4096
LENGTHS = (1, 2, 3, 4)
MAX_CHARACTERS = 2000

# A text of one letter costs a client two bytes and the function a whole row of `BUCKETS` numbers.
MAX_TEXTS = 1000

_NOT_LETTERS = re.compile(r"[\W\d_]+")


def letters(text: str) -> str:
    """Return the text in lower case, with one space for whatever is not a letter, and none at the ends."""
    return _NOT_LETTERS.sub(" ", unicodedata.normalize("NFC", text).lower()).strip()


def ngram_buckets(text: str) -> list[int]:
    """Return the bucket of each character n-gram, or nothing when the text holds no letter.

    Args:
        text: Only its first `MAX_CHARACTERS` characters count, so that the time taken has a bound.
    """
    known = letters(text[:MAX_CHARACTERS])
    if not known:
        return []
    padded = f" {known} "
    return [
        zlib.crc32(padded[start : start + length].encode()) % BUCKETS
        for length in LENGTHS
        for start in range(len(padded) - length + 1)
    ]


def vectorize(texts: Sequence[str]) -> np.ndarray:
    """Count n-grams: FP32 [len(texts), BUCKETS].

    Counts are dampened by a logarithm, and each row is scaled to length one, unless it is all zero.
    """
    ngrams = np.zeros((len(texts), BUCKETS), dtype=np.float32)
    for row, text in zip(ngrams, texts, strict=True):
        row[:] = np.bincount(np.array(ngram_buckets(text), dtype=np.intp), minlength=BUCKETS)
    np.log1p(ngrams, out=ngrams)
    lengths = np.linalg.norm(ngrams, axis=1, keepdims=True)
    return ngrams / np.where(lengths == 0.0, np.float32(1.0), lengths)


def preprocess(request: Any) -> dict[str, np.ndarray]:
    """Turn the request's `text` into the model's `ngrams`.

    Args:
        request: Its `inputs` maps names to arrays; a BYTES tensor is an object array of `bytes`.

    Raises:
        ValueError: If there is no `text`, or it is not a list of at most `MAX_TEXTS` UTF-8 texts. The client
            sees a 400 with the message.
    """
    text = request.inputs.get("text")
    if text is None:
        given = ", ".join(sorted(request.inputs)) or "none"
        raise ValueError(f"input 'text' is missing; inputs given: {given}")
    if text.dtype != np.object_:
        raise ValueError(f"input 'text' must have datatype BYTES; got a tensor of {text.dtype}")
    if text.ndim != 1:
        raise ValueError(f"input 'text' must be a list, one text per element; got shape {list(text.shape)}")
    if len(text) > MAX_TEXTS:
        raise ValueError(f"input 'text' may hold {MAX_TEXTS} texts at most; got {len(text)}")
    return {"ngrams": vectorize([_decode(index, value) for index, value in enumerate(text)])}


def _decode(index: int, value: object) -> str:
    if not isinstance(value, bytes):
        raise ValueError(f"input 'text', element {index}, must be bytes; got {type(value).__name__}")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"{error.reason} at byte {error.start}"
        raise ValueError(f"input 'text', element {index}, is not UTF-8: {found}") from error


def postprocess(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn the model's `probabilities` into the most probable `label` of each text and its `score`.

    A text without letters gives the model nothing to go on: every language is as probable, and the label is
    `und`.
    """
    probabilities = outputs["probabilities"]
    best = probabilities.argmax(axis=1)
    score = probabilities.max(axis=1).astype(np.float32)
    known = score > 1.001 / len(LABELS)
    label = [LABELS[index] if sure else UNDETERMINED for index, sure in zip(best, known, strict=True)]
    return {"label": np.array([name.encode() for name in label], dtype=np.object_), "score": score}
