"""What the constructs say of a model's parts and the runtime reads: the same list, the same digest, the same path."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import ModelPart, ModelSource
from cdk_onnx_inference.models import _bucket_model, _manifest, _s3_objects
from tests.support import models, synth


@pytest.fixture
def parts() -> Any:
    """The runtime's reader."""
    return importlib.import_module("onnx_handler.model_objects")


def test_parts_are_read_as_they_are_written(parts: Any, tmp_path: Path) -> None:
    package = models.save_package(tmp_path / "digits")
    bucket = s3.Bucket.from_bucket_name(Stack(synth.new_app(tmp_path / "out"), "Shop"), "Bucket", "our-models")
    source = ModelSource.from_bucket(bucket=bucket, prefix="m/1", manifest=package / "manifest.json")
    found, problems = _bucket_model.collect("p", source)
    assert problems == []
    assert found is not None
    read = parts.read("Parts", _s3_objects.as_json(_s3_objects.in_bucket(bucket, "m/1", found.parts)))
    assert {(part.path, part.size, part.sha256) for part in read} == {
        (part.path, part.size, part.sha256) for part in found.parts
    }
    assert {part.uri for part in read} == {f"s3://our-models/m/1/{part.path}" for part in found.parts}
    assert parts.digest_of(read, manifest=False) == found.digest
    parts.check_digest("Parts", read, found.digest)
    assert parts.digest_of(read, manifest=True) == _manifest.digest_of(found.parts, manifest=True)


def test_the_manifest_is_a_part_of_the_package_and_not_of_the_model(parts: Any) -> None:
    graph, manifest = (ModelPart(name, 1, "0" * 64) for name in ("model.onnx", parts.MANIFEST))
    assert _manifest.MANIFEST == parts.MANIFEST
    of_the_model = _manifest.digest_of([graph])
    assert _manifest.digest_of([graph, manifest]) == of_the_model
    assert _manifest.digest_of([graph], manifest=True) == of_the_model
    assert _manifest.digest_of([graph, manifest], manifest=True) != of_the_model
