"""A stack with the recommended feature flags, and a model for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import Stack

from cdk_onnx_inference import InvalidInferenceConfig, ModelSource
from tests.support import models, synth


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack called Shop."""
    return Stack(synth.new_app(tmp_path / "cdk.out"), "Shop")


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare model, in a directory called digits."""
    directory = tmp_path_factory.mktemp("models") / "digits"
    models.save(models.matmul(), directory)
    return directory / "model.onnx"


@pytest.fixture
def model(model_path: Path) -> ModelSource:
    """A source of that model."""
    return ModelSource.in_image(model_path)


Codes = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def codes() -> Codes:
    """The codes of the problems that a call raises, in order."""

    def of(call: Callable[[], object]) -> list[str]:
        with pytest.raises(InvalidInferenceConfig) as raised:
            call()
        return [problem.code for problem in raised.value.problems]

    return of
