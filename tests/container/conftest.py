"""The image, really built from the context that the constructs stage, on AWS's base image or its stand-in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aws_cdk import Stack

from cdk_onnx_inference import InferenceFunction, ModelSource, Processing
from tests.container.engine import Engine, prepare_base
from tests.container.lambda_container import LambdaContainer
from tests.support import synth

EXAMPLES = synth.ROOT / "examples"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine; without one these tests are skipped, except in CI, where its absence is a failure."""
    if lacking := Engine.missing():
        message = f"the container tests need {', '.join(lacking)}; `.ci/run` installs what they need"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    prepared = prepare_base(tmp_path_factory.mktemp("engine"), synth.ROOT / ".local" / "container")
    yield prepared
    prepared.close()


StageContext = Callable[..., Path]


@pytest.fixture(scope="session")
def stage_context(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """Synthesises a function and returns its image's context, as `cdk deploy` would build it."""

    def stage(model: Path, processing: Processing | None = None) -> Path:
        stack = Stack(synth.new_app(tmp_path_factory.mktemp("cdk.out")), "Container")
        InferenceFunction(stack, "Digits", model=ModelSource.in_image(model), processing=processing)
        return synth.staged(stack)

    return stage


@pytest.fixture(scope="session")
def digits_image(engine: Engine, stage_context: StageContext) -> str:
    """The image of the digits example."""
    return engine.build("localhost/digits", stage_context(EXAMPLES / "digits" / "model.onnx"))


Start = Callable[..., LambdaContainer]


@pytest.fixture
def start(engine: Engine, digits_image: str) -> Iterator[Start]:
    """Starts containers, of the digits example unless told otherwise, and ends them with the test."""
    started: list[LambdaContainer] = []

    def run(image: str = digits_image, **options: object) -> LambdaContainer:
        container = LambdaContainer(engine, image, **options)  # type: ignore[arg-type]
        started.append(container)
        return container

    yield run
    for container in started:
        container.__exit__()


@pytest.fixture
def variant(engine: Engine, digits_image: str, tmp_path: Path) -> Callable[[str], str]:
    """Builds an image on top of the digits example: the lines that a mistake in a Dockerfile would have added."""

    def build(lines: str) -> str:
        (tmp_path / "Dockerfile").write_text(f"FROM {digits_image}\n{lines}\n")
        tag = f"localhost/variant-{tmp_path.name}"
        engine.podman("build", "--quiet", f"--tag={tag}", str(tmp_path), building=True)
        return tag

    return build
