"""What holds data in the prebuilt stacks keeps its identity: another one would be another, empty, resource for
everybody who deployed it. `stateful_ids.json` changes only with a reason, and what leaves it is a major version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb

from cdk_onnx_inference import AsyncInference, InferenceFunction, ModelSource, Removal
from cdk_onnx_inference.testing import StatefulIdentityChanged
from stacks.async_jobs import AsyncJobs
from stacks.large_model import LargeModel, Source
from stacks.realtime import Realtime
from tests.support import models, synth

Check = Callable[[Mapping[str, dict[str, Any]]], None]


def test_identity(stateful_identities: Check, tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "digits")
    templates = {}

    def add(name: str, make: Callable[[Any], Stack]) -> None:
        templates[name] = synth.template_of(make(synth.new_app(tmp_path / name)))

    add("Realtime", lambda app: Realtime(app, "Realtime", model=ModelSource.in_image(path)))
    for source in Source:
        add(f"LargeModel {source.value}", lambda app, of=source: LargeModel(app, "LargeModel", path=path, source=of))
    add("AsyncJobs", lambda app: AsyncJobs(app, "AsyncJobs", path=path))
    add("AsyncJobs efs", lambda app: AsyncJobs(app, "AsyncJobs", path=path, source=Source.EFS))
    stateful_identities(templates)


def test_another_id_is_told_with_what_would_be_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One construct's id is changed, in the table of jobs: the guard names the table and its fate."""
    original = dynamodb.TableV2.__init__

    def renamed(self: dynamodb.TableV2, scope: Any, construct_id: str, **options: Any) -> None:
        original(self, scope, f"{construct_id}2", **options)

    if request.config.getoption("--record-stateful-ids") is not None:
        pytest.skip("would record the fault")
    monkeypatch.setattr(dynamodb.TableV2, "__init__", renamed)
    template = synth.template_of(
        AsyncJobs(synth.new_app(tmp_path / "app"), "AsyncJobs", path=models.save_package(tmp_path / "digits"))
    )
    check: Check = request.getfixturevalue("stateful_identities")
    with pytest.raises(StatefulIdentityChanged, match=r"the table Jobs\w+ would leave the stack.*id changed, or moved"):
        check({"AsyncJobs": template})


def test_opting_out_of_retention_is_told(tmp_path: Path) -> None:
    from cdk_onnx_inference.testing import identities

    def fates(removal: Any) -> set[str]:
        stack = Stack(synth.new_app(tmp_path / type(removal).__name__), "Shop")
        model = ModelSource.in_image(models.save(models.matmul(), tmp_path / "model"))
        function = InferenceFunction(stack, "Digits", model=model)
        AsyncInference(stack, "Jobs", function=function, removal=removal)
        found = identities(synth.template_of(stack)).values()
        return {identity.deletion_policy for identity in found if identity.type == "AWS::DynamoDB::GlobalTable"}

    assert fates(Removal.retain()) == {"Retain"}
    assert fates(Removal.destroy(reason="a test")) == {"Delete"}
