"""What a new model changes in a template, for each source: its own entries, and nothing else. The same one: nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import InferenceFunction, ModelFileSystem, ModelS3Files, ModelSource
from tests.support import models, synth

SOURCES = ("in_image", "from_s3", "from_bucket", "on_efs", "on_s3_files")

ENVIRONMENT = "DigitsFunction.Properties.Environment.Variables"
PUBLICATION = {
    "DigitsPublishModel.Properties.PackageDigest",
    "DigitsPublishModel.Properties.Parts",
    "DigitsPublishModelReadParts.Properties.PolicyDocument.Statement",
    f"{ENVIRONMENT}.MODEL_PATH",
}
MANIFEST = {
    "in_image": {"DigitsFunction.Properties.Code.ImageUri.Fn::Sub"},
    "from_s3": {f"{ENVIRONMENT}.MODEL_OBJECTS", "DigitsReadModel.Properties.PolicyDocument.Statement"},
    "from_bucket": {f"{ENVIRONMENT}.MODEL_OBJECTS", "DigitsReadModel.Properties.PolicyDocument.Statement"},
    "on_efs": PUBLICATION,
    "on_s3_files": PUBLICATION,
}
"""Source -> what another manifest of the same graph and weights changes."""
DIGEST = f"{ENVIRONMENT}.MODEL_DIGEST"
"""What another graph, or other weights, change besides."""

HASHED = re.compile(r"(DigitsFunctionCurrentVersion|DigitsReadModel)[0-9A-Fa-f]+")
"""Logical ids that say in themselves that a resource is another one. The alias follows the version's."""


def template(source: str, package: Path, outdir: Path) -> synth.Template:
    stack = Stack(synth.new_app(outdir), "Shop")
    if source == "from_bucket":
        bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
        model = ModelSource.from_bucket(
            bucket=bucket, prefix=f"digits/{package.parent.name}", manifest=package / "manifest.json", name="digits"
        )
    elif source == "on_efs":
        model = ModelSource.on_efs(package, file_system=ModelFileSystem(stack, "Models"))
    elif source == "on_s3_files":
        model = ModelSource.on_s3_files(package, file_system=ModelS3Files(stack, "Models"))
    else:
        model = getattr(ModelSource, source)(package)
    InferenceFunction(stack, "Digits", model=model)
    return synth.template_of(stack)


def version_of(made: synth.Template) -> str:
    (name,) = (name for name, entry in made["Resources"].items() if entry["Type"] == "AWS::Lambda::Version")
    return str(name)


def changed(before: synth.Template, after: synth.Template) -> set[str]:
    """Paths of what differs between whole templates, without the hashes in logical ids."""
    one, two = (json.loads(HASHED.sub(r"\1", json.dumps(made))) for made in (before, after))
    assert one.keys() == two.keys()
    assert {name: one[name] for name in one if name != "Resources"} == {
        name: two[name] for name in two if name != "Resources"
    }
    return {re.sub(r"^(\w+?)[0-9A-F]{8}\.", r"\1.", path) for path in differences(one["Resources"], two["Resources"])}


def differences(one: Any, two: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys() and "Fn::Join" not in one:
        for name in one:
            yield from differences(one[name], two[name], f"{path}.{name}" if path else name)
    elif one != two:
        yield path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return models.save_package(tmp_path / "1" / "digits")


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_model_gives_the_same_template(source: str, before: Path, tmp_path: Path) -> None:
    made = [template(source, before, tmp_path / f"out.{number}") for number in range(2)]
    assert made[0] == made[1]


@pytest.mark.parametrize("source", SOURCES)
def test_other_weights(source: str, before: Path, tmp_path: Path) -> None:
    retrained = models.matmul()
    retrained.graph.initializer[0].raw_data = bytes(48)
    after = models.save_package(tmp_path / "2" / "digits", retrained)
    made = [template(source, package, tmp_path / package.parent.name / "out") for package in (before, after)]
    assert changed(*made) == MANIFEST[source] | {DIGEST}
    assert version_of(made[0]) != version_of(made[1])


@pytest.mark.parametrize("source", SOURCES)
def test_another_manifest(source: str, before: Path, tmp_path: Path) -> None:
    """Session options decide how the same weights are run: they belong to a version of the function."""
    after = models.save_package(tmp_path / "2" / "digits", session={"intra_op_num_threads": 1})
    made = [template(source, package, tmp_path / package.parent.name / "out") for package in (before, after)]
    assert changed(*made) == MANIFEST[source]
    assert version_of(made[0]) != version_of(made[1])


@pytest.mark.parametrize("source", SOURCES)
def test_going_back_gives_the_former_template(source: str, before: Path, tmp_path: Path) -> None:
    """And with it the former version, which CloudFormation has retained."""
    after = models.save_package(tmp_path / "2" / "digits", session={"intra_op_num_threads": 1})
    made = [template(source, package, tmp_path / f"out.{n}") for n, package in enumerate((before, after, before))]
    assert made[0] == made[2] != made[1]
