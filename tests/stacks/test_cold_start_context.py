"""What `-c cold_start=...` makes of the prebuilt stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk import aws_lambda as lambda_

from cdk_onnx_inference import ColdStart, ModelSource, ProvisionedConcurrency
from cdk_onnx_inference.cold_start.cold_start import Warmed
from stacks.cold_start import KEYS, read
from stacks.context_reader import ContextReader
from stacks.large_model import LargeModel, Source
from stacks.realtime import Realtime
from tests.constructs.conftest import Codes
from tests.support import models, synth


def choice(**context: Any) -> ColdStart:
    reader = ContextReader(App(context=context).node)
    found = read(reader)
    reader.raise_problems()
    return found


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, ColdStart.on_demand()),
        ({"cold_start": "on-demand"}, ColdStart.on_demand()),
        ({"cold_start": "snap-start"}, ColdStart.snap_start()),
        ({"cold_start": "provisioned"}, ColdStart.provisioned()),
        (
            {"cold_start": "provisioned", "provisioned_min": "3"},
            ColdStart.provisioned(ProvisionedConcurrency(min_capacity=3)),
        ),
        (
            {"cold_start": "provisioned", "provisioned_min": 2, "provisioned_max": 9, "provisioned_target": "50"},
            ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2, max_capacity=9, target_utilization=0.5)),
        ),
    ],
)
def test_choices(context: dict[str, Any], expected: ColdStart) -> None:
    assert choice(**context) == expected


def test_a_warmer() -> None:
    plain = choice(cold_start="warmer")
    assert isinstance(plain, Warmed)
    assert plain.interval is not None
    assert (plain.concurrency, plain.interval.to_minutes(), plain.hours) == (1, 5, None)
    full = choice(
        cold_start="warmer",
        warmer_concurrency="3",
        warmer_interval="10",
        warmer_hours="8-18",
        warmer_time_zone="Europe/Berlin",
    )
    assert isinstance(full, Warmed)
    assert full.interval is not None
    assert full.hours is not None
    assert full.hours.time_zone is not None
    assert (full.concurrency, full.interval.to_minutes(), full.hours.start, full.hours.end) == (3, 10, 8, 18)
    assert full.hours.time_zone.timezone_name == "Europe/Berlin"


@pytest.mark.parametrize(
    "context",
    [
        {"cold_start": "warm"},
        {"provisioned_min": "2"},
        {"cold_start": "warmer", "provisioned_max": "2"},
        {"cold_start": "snap-start", "warmer_concurrency": "2"},
        {"cold_start": "provisioned", "provisioned_target": "70"},
        {"cold_start": "provisioned", "provisioned_min": "two"},
        {"cold_start": "warmer", "warmer_hours": "eight to six"},
        {"cold_start": "warmer", "warmer_time_zone": "Europe/Berlin"},
    ],
)
def test_is_refused(codes: Codes, context: dict[str, Any]) -> None:
    assert codes(lambda: choice(**context)) == ["context-value"]


def test_every_key_is_in_the_list_that_app_points_to() -> None:
    text = (synth.ROOT / "stacks" / "context.py").read_text()
    assert [key for key in KEYS if f"    {key}=" not in text] == []


@pytest.mark.parametrize("kind", ["on-demand", "warmer", "provisioned", "snap-start"])
@pytest.mark.parametrize("source", ["realtime", *Source])
def test_the_stacks_take_what_is_legal(tmp_path: Path, codes: Codes, kind: str, source: str) -> None:
    package = models.save_package(tmp_path / "digits")
    app = synth.new_app(tmp_path / "cdk.out")
    cold_start = choice(cold_start=kind)

    def made() -> Realtime | LargeModel:
        if source == "realtime":
            return Realtime(app, "Stack", model=ModelSource.in_image(package), cold_start=cold_start)
        return LargeModel(app, "Stack", path=package, source=Source(source), cold_start=cold_start)

    if kind == "snap-start" and source in (Source.EFS, Source.S3_FILES):
        assert codes(made) == ["snap-start-file-system"]
        return
    service = made().inference
    assert service.cold_start == cold_start
    assert (service.warmer is not None) == (kind == "warmer")
    alias, function = service.alias.node.default_child, service.function.node.default_child
    assert isinstance(alias, lambda_.CfnAlias)
    assert isinstance(function, lambda_.CfnFunction)
    assert (alias.provisioned_concurrency_config is not None) == (kind == "provisioned")
    assert (function.snap_start is not None) == (kind == "snap-start")
