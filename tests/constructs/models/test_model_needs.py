"""What models need of their function: memory, and space in `/tmp` and in the image."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_cdk import Size, Stack, Token
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import ModelPart, ModelSource
from tests.constructs.conftest import Codes
from tests.constructs.models.conftest import variables
from tests.support import models, synth

HEX = "0123456789abcdef" * 4


def in_bucket(stack: Stack, size: int) -> ModelSource:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
    return ModelSource.from_bucket(bucket=bucket, prefix="big", parts=[ModelPart("model.onnx", size, HEX)])


def storage(stack: Stack) -> int | None:
    made: dict[str, int] | None = synth.only(synth.template_of(stack), "AWS::Lambda::Function").get("EphemeralStorage")
    return None if made is None else made["Size"]


@pytest.mark.parametrize(
    ("size", "expected", "cache"),
    [(1, None, "448"), (448_000_000, None, "448"), (448_000_001, 513, "449"), (9_000_000_000, 9064, "9000")],
)
def test_tmp_is_as_large_as_the_models_need(stack: Stack, size: int, expected: int | None, cache: str) -> None:
    made = variables(stack, in_bucket(stack, size))
    assert (storage(stack), made["MODEL_CACHE_SIZE"]) == (expected, cache)


def test_tmp_of_the_user_s_own(stack: Stack) -> None:
    made = variables(stack, in_bucket(stack, 1), ephemeral_storage_size=Size.gibibytes(2))
    assert (storage(stack), made["MODEL_CACHE_SIZE"]) == (2048, "1984")


def test_fails_on_too_little_tmp(codes: Codes, stack: Stack) -> None:
    source = in_bucket(stack, 1_000_000_000)
    assert codes(lambda: variables(stack, source, ephemeral_storage_size=Size.mebibytes(1063))) == [
        "ephemeral-storage-too-small"
    ]


def test_just_enough_tmp_passes(stack: Stack) -> None:
    source = in_bucket(stack, 1_000_000_000)
    assert variables(stack, source, ephemeral_storage_size=Size.mebibytes(1064))["MODEL_CACHE_SIZE"] == "1000"


def test_fails_on_more_models_than_any_tmp_holds(codes: Codes, stack: Stack) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
    sources = [
        ModelSource.from_bucket(
            bucket=bucket,
            prefix=name,
            parts=[ModelPart("model.onnx", 6 * 1000**3, f"{number}" * 64)],
        )
        for number, name in enumerate(("a", "b"))
    ]
    assert codes(lambda: variables(stack, sources)) == ["ephemeral-storage-too-small"]


def test_each_manifest_of_the_same_weights_takes_its_tmp(stack: Stack) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
    graph = ModelPart("model.onnx", 300_000_000, HEX)
    made = variables(
        stack,
        [
            ModelSource.from_bucket(bucket=bucket, prefix="m", parts=[graph, *manifest], version=str(version))
            for version, manifest in enumerate(([], [ModelPart("manifest.json", 1, HEX)], []), 1)
        ],
    )
    assert (storage(stack), made["MODEL_CACHE_SIZE"]) == (665, "601")


def test_tmp_that_is_known_at_deployment_passes(stack: Stack) -> None:
    size = Size.mebibytes(Token.as_number({"Ref": "Number"}))
    made = variables(stack, in_bucket(stack, 9_000_000_000), ephemeral_storage_size=size)
    assert "MODEL_CACHE_SIZE" not in made


@pytest.mark.parametrize(("megabytes", "memory_size"), [(28.2, 128), (900.0, 954), (0.0, 128)])
def test_enough_memory_for_what_was_measured(stack: Stack, tmp_path: Path, megabytes: float, memory_size: int) -> None:
    path = models.save_package(tmp_path / "digits", measurements={"after": {"anonymous_mb": megabytes}})
    variables(stack, ModelSource.in_image(path), memory_size=memory_size)


def test_fails_on_too_little_memory_for_what_was_measured(codes: Codes, stack: Stack, tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "digits", measurements={"after": {"anonymous_mb": 900.0}})
    assert codes(lambda: variables(stack, ModelSource.in_image(path), memory_size=953)) == ["memory-too-small"]


@pytest.mark.parametrize(("memory_size", "problems"), [(351, ["memory-too-small"]), (352, None)])
def test_memory_for_weights_in_the_graph(
    codes: Codes, stack: Stack, tmp_path: Path, memory_size: int, problems: list[str] | None
) -> None:
    made = models.matmul()
    made.graph.initializer[0].dims[:] = [64, 1024, 1024]
    made.graph.initializer[0].raw_data = bytes(4 * 64 * 1024**2)
    path = models.save(made, tmp_path / "digits")
    source = ModelSource.in_image(path)
    if problems is None:
        variables(stack, source, memory_size=memory_size)
    else:
        assert codes(lambda: variables(stack, source, memory_size=memory_size)) == problems


def test_memory_that_is_known_at_deployment_passes(stack: Stack, tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "digits", measurements={"after": {"anonymous_mb": 90000}})
    variables(stack, ModelSource.in_image(path), memory_size=Token.as_number({"Ref": "Number"}))
