"""What MODEL_OBJECTS holds, and the digests over it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from onnx_handler import model_objects
from onnx_handler.errors import ModelUnusable

GOOD = {"path": "model.onnx", "uri": "s3://models/a/b c.onnx", "size": 3, "sha256": "a" * 64}


def test_a_document_and_a_list_are_both_parts() -> None:
    weights = {**GOOD, "path": "model.onnx.data"}
    for document in ({"parts": [weights, GOOD], "later": 1}, [weights, GOOD]):
        assert model_objects.read("X", json.dumps(document)) == (
            model_objects.Part("model.onnx", "models", "a/b c.onnx", 3, "a" * 64),
            model_objects.Part("model.onnx.data", "models", "a/b c.onnx", 3, "a" * 64),
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "../model.onnx"},
        {"path": "/model.onnx"},
        {"path": "a//b"},
        {"path": "a/./b"},
        {"path": ".verified"},
        {"path": "a\0"},
        {"path": ""},
        {"path": 1},
        {"uri": "https://models/a"},
        {"uri": "s3://models/"},
        {"uri": "s3://M/a"},
        {"size": -1},
        {"size": True},
        {"size": "3"},
        {"sha256": "A" * 64},
        {"sha256": None},
    ],
)
def test_a_wrong_part_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelUnusable, match="X has the part"):
        model_objects.parse("X", [GOOD, {**GOOD, "path": "other", **wrong}])


@pytest.mark.parametrize("document", [[], [{**GOOD, "path": "other"}], [GOOD, GOOD], 1, {}, None, ["x"]])
def test_a_wrong_list_is_told(document: Any) -> None:
    with pytest.raises(ModelUnusable, match=r"^X has|^X is"):
        model_objects.parse("X", document)


def test_what_is_not_json_is_told() -> None:
    with pytest.raises(ModelUnusable, match="X is not JSON"):
        model_objects.read("X", "{")


def test_the_digest_is_that_of_sha256sum() -> None:
    """And of the graph and its weights alone: MODEL_DIGEST does not count the manifest."""
    every = [
        model_objects.Part(name, "b", "k", 1, digit * 64)
        for name, digit in (("model.onnx.data", "b"), ("model.onnx", "a"))
    ]
    manifest = model_objects.Part("manifest.json", "b", "k", 1, "c" * 64)
    listing = f"{'a' * 64}  model.onnx\n{'b' * 64}  model.onnx.data\n"
    expected = f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"
    assert model_objects.digest_of([*every, manifest], manifest=False) == expected
    assert model_objects.digest_of([*every, manifest], manifest=True) != expected
    model_objects.check_digest("X", [*every, manifest], expected)
    model_objects.check_digest("X", every, "")
    with pytest.raises(ModelUnusable, match="X have the digest"):
        model_objects.check_digest("X", every, "sha256:0")
