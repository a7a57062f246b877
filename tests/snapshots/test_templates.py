"""Templates of the prebuilt stacks, without hashes: their difference is what a deployment would change.

`make snapshot` writes them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import TimeZone
from aws_cdk.aws_applicationautoscaling import Schedule
from syrupy.assertion import SnapshotAssertion

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    ColdStart,
    ModelSource,
    ProvisionedConcurrency,
    ProvisionedSchedule,
    WarmerTrigger,
    WarmHours,
)
from stacks.async_jobs import AsyncJobs, Notices
from stacks.large_model import LargeModel, Source
from stacks.realtime import Realtime
from tests.support import models, synth


def realtime(tmp_path: Path, flags: Mapping[str, Any] = synth.RECOMMENDED_FLAGS, **options: Any) -> dict[str, Any]:
    model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "digits"))
    app = synth.new_app(tmp_path / "cdk.out", flags)
    return synth.template_of(Realtime(app, "Realtime", model=model, **options))


def test_realtime(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert realtime(tmp_path) == template_snapshot


def test_realtime_without_feature_flags(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert realtime(tmp_path, flags={}) == template_snapshot


def test_realtime_rest_api_key(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert realtime(tmp_path, api_type=ApiType.rest_api(), auth=ApiAuth.api_key()) == template_snapshot


def test_realtime_warmer(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    hours = WarmHours(start=8, end=18, time_zone=TimeZone.of("Europe/Berlin"))
    assert realtime(tmp_path, cold_start=ColdStart.warmer(concurrency=2, hours=hours)) == template_snapshot


def test_realtime_warmer_by_rule(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    cold_start = ColdStart.warmer(concurrency=2, trigger=WarmerTrigger.RULE)
    assert realtime(tmp_path, cold_start=cold_start) == template_snapshot


def provisioned() -> ColdStart:
    schedule = ProvisionedSchedule(name="day", schedule=Schedule.cron(hour="8", minute="0"), min_capacity=3)
    return ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2, max_capacity=10, schedules=[schedule]))


def test_realtime_provisioned(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert realtime(tmp_path, cold_start=provisioned()) == template_snapshot


def test_realtime_provisioned_without_feature_flags(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert realtime(tmp_path, flags={}, cold_start=provisioned()) == template_snapshot


def test_realtime_snap_start(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert realtime(tmp_path, cold_start=ColdStart.snap_start()) == template_snapshot


def large_model(tmp_path: Path, flags: Mapping[str, Any] = synth.RECOMMENDED_FLAGS, **options: Any) -> dict[str, Any]:
    app = synth.new_app(tmp_path / "cdk.out", flags)
    path = models.save_package(tmp_path / "digits")
    return synth.template_of(LargeModel(app, "LargeModel", path=path, **options))


def test_large_model_on_efs(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert large_model(tmp_path) == template_snapshot


def test_large_model_on_efs_without_feature_flags(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert large_model(tmp_path, flags={}) == template_snapshot


def test_large_model_from_s3(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert large_model(tmp_path, source=Source.S3) == template_snapshot


def test_large_model_on_s3_files(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert large_model(tmp_path, source=Source.S3_FILES) == template_snapshot


def async_jobs(tmp_path: Path, flags: Mapping[str, Any] = synth.RECOMMENDED_FLAGS, **options: Any) -> dict[str, Any]:
    app = synth.new_app(tmp_path / "cdk.out", flags)
    path = models.save_package(tmp_path / "digits")
    return synth.template_of(AsyncJobs(app, "AsyncJobs", path=path, **options))


def test_async_jobs(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert async_jobs(tmp_path) == template_snapshot


def test_async_jobs_without_feature_flags(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert async_jobs(tmp_path, flags={}) == template_snapshot


def test_async_jobs_rest_api_key(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert async_jobs(tmp_path, api_type=ApiType.rest_api(), auth=ApiAuth.api_key()) == template_snapshot


def test_async_jobs_with_notices(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert async_jobs(tmp_path, notices=Notices.TOPIC) == template_snapshot


def test_async_jobs_on_efs(template_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    assert async_jobs(tmp_path, source=Source.EFS, cold_start=ColdStart.provisioned()) == template_snapshot
