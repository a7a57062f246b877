"""The argument `model=`: one model, or several that fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_cdk import Stack, Token

from cdk_onnx_inference import ModelFileSystem, ModelSource
from tests.constructs.conftest import Codes
from tests.constructs.models.conftest import BUCKET, variables
from tests.support import synth


def test_a_list_of_one_is_that_one(tmp_path: Path, package: Path) -> None:
    made = []
    for number, model in enumerate([ModelSource.in_image(package), [ModelSource.in_image(package)]]):
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{number}"), "Shop")
        variables(stack, model)
        made.append(synth.template_of(stack))
    assert made[0] == made[1]


def test_fails_on_no_models(codes: Codes, stack: Stack) -> None:
    assert codes(lambda: variables(stack, [])) == ["model-missing"]


def test_fails_on_what_is_no_source(stack: Stack) -> None:
    with pytest.raises(TypeError, match=r"Shop/Digits\.model\[0\] must come from a factory of ModelSource"):
        variables(stack, ["model.onnx"])


def test_fails_on_duplicates(codes: Codes, stack: Stack, package: Path) -> None:
    assert codes(lambda: variables(stack, [ModelSource.in_image(package), ModelSource.from_s3(package)])) == [
        "model-duplicate"
    ]


def test_fails_on_two_file_systems(codes: Codes, stack: Stack, package: Path) -> None:
    sources = [ModelSource.on_efs(package, file_system=ModelFileSystem(stack, name), name=name) for name in ("A", "B")]
    assert codes(lambda: variables(stack, sources)) == ["model-mounts"]


def test_problems_say_which_model_is_meant(stack: Stack, package: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Shop/Digits\.model\[1\]\.path: got"):
        variables(stack, [ModelSource.in_image(package), ModelSource.from_s3(tmp_path / "none")])


def test_several_with_values_that_are_known_at_deployment(stack: Stack, package: Path) -> None:
    token = Token.as_string({"Ref": "Text"})
    sources = [ModelSource.from_s3(package, name=token), ModelSource.from_s3(package, name=token)]
    assert variables(stack, sources)["MODELS"].count(f'"name":"{BUCKET}"') == 2
