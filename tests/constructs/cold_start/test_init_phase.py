"""What synth knows of the length of a start, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import ColdStart, InferenceFunction, ModelFileSystem, ModelPart, ModelSource
from cdk_onnx_inference.cold_start import _init_phase
from cdk_onnx_inference.models._model_argument import collect
from cdk_onnx_inference.models._served_model import ServedModel
from tests.constructs.conftest import Codes, warnings
from tests.support import models

GB = 1000**3


def downloaded(stack: Stack, size: int, name: str = "large") -> ModelSource:
    bucket = s3.Bucket.from_bucket_name(stack, f"Bucket-{name}", "models")
    parts = [ModelPart("model.onnx", 1000, "0" * 64), ModelPart("model.onnx.data", size, "1" * 64)]
    return ModelSource.from_bucket(bucket=bucket, prefix=name, parts=parts)


def served(*sources: ModelSource) -> list[ServedModel]:
    found, problems = collect("model", list(sources))
    assert problems == []
    return found


def test_a_download_at_625_megabits(stack: Stack) -> None:
    start = _init_phase.estimate(served(downloaded(stack, GB)), 1769)
    assert start.transfer == pytest.approx(12.8, rel=0.01)
    assert start.seconds == pytest.approx(12.8, rel=0.01)  # the imports are done meanwhile


def test_a_model_in_the_image_takes_what_was_measured(tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "m", measurements={"after": {"load_ms": 500}})
    (model,) = served(ModelSource.in_image(path))
    assert model.load_ms == 500
    assert _init_phase.estimate([model], 1769).seconds == pytest.approx(0.8)
    assert _init_phase.estimate([model], 10240).seconds == pytest.approx(0.8)
    assert _init_phase.estimate([model], 1769 / 2).seconds == pytest.approx(1.6)


def test_a_model_on_a_mount_is_mapped_unless_its_weights_are_in_the_graph(stack: Stack, tmp_path: Path) -> None:
    file_system = ModelFileSystem(stack, "Models")
    beside = models.save_package(tmp_path / "beside")
    inside = models.save(models.matmul(), tmp_path / "inside")
    transfers = [
        _init_phase.estimate(served(ModelSource.on_efs(path, file_system=file_system)), 1769).transfer
        for path in (beside, inside)
    ]
    assert transfers[0] == 0
    assert transfers[1] == pytest.approx(48 / _init_phase.BANDWIDTH)


def test_of_several_models_those_count_that_fit(stack: Stack) -> None:
    several = served(*(downloaded(stack, GB, name) for name in ("a", "b", "c")))
    assert _init_phase.estimate(several, 3008).transfer == pytest.approx(25.6, rel=0.01)
    assert _init_phase.estimate(several, 128).transfer == pytest.approx(12.8, rel=0.01)


@pytest.mark.parametrize(
    ("cold_start", "timeout", "seconds"),
    [
        (ColdStart.on_demand(), 3, 10),
        (ColdStart.warmer(), 60, 60),
        (ColdStart.provisioned(), 60, 130),
        (ColdStart.snap_start(), 600, 600),
    ],
)
def test_how_long_a_start_may_take(cold_start: ColdStart, timeout: int, seconds: float) -> None:
    assert _init_phase.limit(cold_start, Duration.seconds(timeout)) == seconds


@pytest.mark.parametrize("cold_start", [ColdStart.on_demand(), ColdStart.warmer(), ColdStart.provisioned()])
def test_warns_of_a_start_that_is_longer_than_the_init_phase(stack: Stack, cold_start: ColdStart) -> None:
    InferenceFunction(
        stack, "Digits", model=downloaded(stack, 2 * GB), cold_start=cold_start, timeout=Duration.seconds(20)
    )
    if cold_start == ColdStart.provisioned():
        assert warnings(stack) == []
        return
    (warning,) = warnings(stack)
    assert "[ack: cdk-onnx-inference:init-phase]" in warning
    assert "about 26 s (25.6 s for what comes over the network at 78 MB/s)" in warning
    assert "fails after its timeout of 20 s" in warning


def test_a_start_that_fits_is_not_spoken_of(stack: Stack) -> None:
    InferenceFunction(stack, "Digits", model=downloaded(stack, GB // 2))
    assert warnings(stack) == []


def test_warns_of_a_model_that_was_measured_to_load_slowly(stack: Stack, tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "m", measurements={"after": {"load_ms": 12_000}})
    InferenceFunction(stack, "Digits", model=ModelSource.in_image(path), timeout=Duration.seconds(60))
    (warning,) = warnings(stack)
    assert "12.0 s to load" in warning
    assert "fails" not in warning


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"timeout": Duration.seconds(25)}, True),  # 9.5 GB at 375 MB/s, the most that AWS grants
        ({"timeout": Duration.seconds(30)}, False),
        ({"timeout": Duration.seconds(25), "cold_start": ColdStart.provisioned()}, False),
    ],
)
def test_a_start_that_no_network_is_fast_enough_for_is_refused(
    stack: Stack, codes: Codes, options: dict[str, Any], refused: bool
) -> None:
    def made() -> InferenceFunction:
        return InferenceFunction(stack, "Digits", model=downloaded(stack, 19 * GB // 2), **options)

    if refused:
        assert codes(made) == ["init-exceeds-timeout"]
    else:
        assert made().alias is not None
