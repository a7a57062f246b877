"""The variables by which the runtime finds the models, and their size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import Stack, Token

from cdk_onnx_inference import InferenceFunction, ModelSource, Processing, _environment
from tests.constructs.conftest import Codes
from tests.constructs.models.conftest import variables
from tests.support import synth


def test_every_variable_is_in_the_contract(stack: Stack, package: Path, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    processing = Processing(tmp_path / "words.py")
    sources = [ModelSource.from_s3(package), ModelSource.in_image(package, name="b")]
    several = variables(stack, sources, processing=processing)
    other = Stack(synth.new_app(tmp_path / "other"), "Shop")
    single = variables(other, ModelSource.from_s3(package), processing=processing)
    of_models = _environment.NAMES - _environment.OF_JOBS - _environment.OF_HOOKS
    assert several.keys() | single.keys() | {"MODEL_PATH"} == of_models


def test_fails_on_an_environment_that_is_too_large(codes: Codes, stack: Stack, package: Path) -> None:
    sources = [ModelSource.from_s3(package, name=f"m{number}") for number in range(5)]
    assert codes(lambda: variables(stack, sources)) == ["environment-too-large"]
    assert "Resources" not in synth.template_of(stack)


def test_four_models_of_three_files_fit_the_environment(stack: Stack, package: Path) -> None:
    sources = [ModelSource.from_s3(package, name=f"m{number}") for number in range(4)]
    assert len(json.loads(variables(stack, sources)["MODELS"])) == 4


def test_the_environment_is_measured_as_lambda_does(tmp_path: Path, package: Path) -> None:
    def attempt(number: int, length: int) -> dict[str, str]:
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{number}"), "Shop")
        return variables(
            stack, ModelSource.in_image(package), environment={"WORDS": "ä" * 10 + '"' * 10 + "x" * length}
        )

    longest = 4096 - len(json.dumps(attempt(0, 0), separators=(",", ":"), ensure_ascii=False).encode())
    made = attempt(1, longest)
    assert len(json.dumps(made, separators=(",", ":"), ensure_ascii=False).encode()) == 4096
    with pytest.raises(ValueError, match="environment-too-large"):
        attempt(2, longest + 1)


def test_an_environment_that_is_known_at_deployment_passes(stack: Stack, package: Path) -> None:
    environment = {f"V{number}": Token.as_string({"Ref": f"Text{number}"}) for number in range(100)}
    InferenceFunction(stack, "Digits", model=ModelSource.in_image(package), environment=environment)
