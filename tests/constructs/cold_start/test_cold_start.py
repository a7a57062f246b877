"""What `ColdStart.on_demand` and `ColdStart.snap_start` make, and what a change of the choice publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack

from cdk_onnx_inference import ColdStart, InferenceFunction, ModelSource
from tests.constructs.cold_start.conftest import Make
from tests.constructs.conftest import Codes, warnings
from tests.support import synth


def test_nothing_is_made_unless_asked_for(make: Make, stack: Stack) -> None:
    service = make()
    assert service.cold_start == ColdStart.on_demand()
    assert (service.warmer, service.scalable_target) == (None, None)
    template = synth.template_of(stack)
    assert {made["Type"].split("::")[1] for made in template["Resources"].values()} == {"Lambda", "IAM", "Logs"}
    assert "ProvisionedConcurrencyConfig" not in synth.only(template, "AWS::Lambda::Alias")
    assert "SnapStart" not in synth.only(template, "AWS::Lambda::Function")


@pytest.mark.parametrize("wrong", ["provisioned", 3, ColdStart()])
def test_only_what_the_factories_return_is_a_choice(make: Make, codes: Codes, wrong: Any) -> None:
    assert codes(lambda: make(wrong)) == ["cold-start-type"]


@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_snap_start(make: Make, stack: Stack, keep: bool, policy: str) -> None:
    make(ColdStart.snap_start(keep_old_versions=keep))
    template = synth.template_of(stack)
    assert synth.only(template, "AWS::Lambda::Function")["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    (version,) = synth.resources_of(template, "AWS::Lambda::Version")
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == (policy, policy)
    assert warnings(stack) == []


@pytest.mark.parametrize(("region", "there"), [("ap-southeast-6", False), ("ap-east-2", False), ("eu-west-1", True)])
def test_snap_start_is_not_in_every_region(
    tmp_path: Path, model: ModelSource, codes: Codes, region: str, there: bool
) -> None:
    stack = Stack(synth.new_app(tmp_path / "out"), "Shop", env={"region": region, "account": "123456789012"})

    def made() -> InferenceFunction:
        return InferenceFunction(stack, "Digits", model=model, cold_start=ColdStart.snap_start())

    if there:
        assert made().alias is not None
    else:
        assert codes(made) == ["snap-start-region"]


@pytest.mark.parametrize("cold_start", [ColdStart.snap_start(), ColdStart.provisioned(), ColdStart.warmer()])
def test_what_a_change_of_choice_publishes(tmp_path: Path, model: ModelSource, cold_start: ColdStart) -> None:
    ids = []
    for number, choice in enumerate((None, cold_start)):
        stack = Stack(synth.new_app(tmp_path / str(number)), "Shop")
        InferenceFunction(stack, "Digits", model=model, cold_start=choice)
        resources = synth.template_of(stack)["Resources"]
        ids += [name for name, made in resources.items() if made["Type"] == "AWS::Lambda::Version"]
    assert (ids[0] != ids[1]) == (cold_start == ColdStart.snap_start())
