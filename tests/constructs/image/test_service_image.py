from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_ecr as ecr

from cdk_onnx_inference import (
    AsyncInference,
    InferenceFunction,
    InvalidInferenceConfig,
    ModelFileSystem,
    ModelSource,
    ServiceImage,
)
from tests.support import models, synth

DIGEST = f"sha256:{'a1' * 32}"
ARN = "arn:aws:ecr:eu-west-1:210987654321:repository/digits"


def image_of(stack: Stack, digest: str = DIGEST) -> Any:
    repository = ecr.Repository.from_repository_arn(stack, "Images", ARN)
    return ServiceImage.from_ecr(repository, digest=digest)


def functions(stack: Stack) -> list[dict[str, Any]]:
    made = [found["Properties"] for found in synth.resources_of(synth.template_of(stack), "AWS::Lambda::Function")]
    return [properties for properties in made if properties.get("PackageType") == "Image"]


def model(tmp_path: Path) -> ModelSource:
    return ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))


def test_every_function_of_the_service_has_it_and_nothing_is_built(stack: Stack, tmp_path: Path) -> None:
    function = InferenceFunction(stack, "Digits", model=model(tmp_path), image=image_of(stack))
    AsyncInference(stack, "Jobs", function=function)
    made = functions(stack)
    assert len(made) == 5
    assert {json.dumps(properties["Code"]["ImageUri"]) for properties in made} == {
        json.dumps(made[0]["Code"]["ImageUri"])
    }
    uri = json.dumps(made[0]["Code"]["ImageUri"])
    assert "210987654321.dkr.ecr.eu-west-1." in uri
    assert f"/digits@{DIGEST}" in uri
    assert len({tuple(properties["ImageConfig"]["Command"]) for properties in made}) == 5
    assert list(Path(stack.node.root.outdir).glob("asset.*")) == []  # type: ignore[attr-defined]


def test_also_the_function_that_publishes_models(stack: Stack, tmp_path: Path) -> None:
    source = ModelSource.on_efs(models.save_package(tmp_path / "digits"), file_system=ModelFileSystem(stack, "Models"))
    InferenceFunction(stack, "Digits", model=source, image=image_of(stack))
    assert len(functions(stack)) == 2
    assert all(f"@{DIGEST}" in json.dumps(properties["Code"]) for properties in functions(stack))


def test_another_digest_is_a_new_version(tmp_path: Path) -> None:
    def version(digest: str) -> str:
        stack = Stack(synth.new_app(tmp_path / digest[-4:]), "Shop")
        InferenceFunction(stack, "Digits", model=model(tmp_path), image=image_of(stack, digest))
        resources = synth.template_of(stack)["Resources"]
        (name,) = [name for name, made in resources.items() if made["Type"] == "AWS::Lambda::Version"]
        return str(name)

    other = f"sha256:{'b2' * 32}"
    assert version(DIGEST) == version(DIGEST)
    assert version(DIGEST) != version(other)


@pytest.mark.parametrize("digest", ["latest", "v2", "a1" * 32, f"sha256:{'A1' * 32}", "sha256:a1", f" {DIGEST}"])
def test_a_tag_is_no_digest(stack: Stack, tmp_path: Path, digest: str) -> None:
    with pytest.raises(InvalidInferenceConfig) as raised:
        InferenceFunction(stack, "Digits", model=model(tmp_path), image=image_of(stack, digest))
    assert [problem.code for problem in raised.value.problems] == ["image-digest"]
    assert "Shop/Digits.image.digest" in str(raised.value)


def test_a_digest_that_is_known_later(stack: Stack, tmp_path: Path) -> None:
    digest = CfnParameter(stack, "Digest").value_as_string
    InferenceFunction(stack, "Digits", model=model(tmp_path), image=image_of(stack, digest))
    assert '{"Ref": "Digest"}' in json.dumps(functions(stack)[0]["Code"]["ImageUri"])


def test_built_is_the_default(tmp_path: Path) -> None:
    def template(**options: Any) -> dict[str, Any]:
        stack = Stack(synth.new_app(tmp_path / f"out{len(options)}"), "Shop")
        InferenceFunction(stack, "Digits", model=model(tmp_path), **options)
        return synth.template_of(stack)

    assert template() == template(image=ServiceImage.built())
