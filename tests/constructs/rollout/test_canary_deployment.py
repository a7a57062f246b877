from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk.assertions import Annotations, Match

from cdk_onnx_inference import (
    CanaryDeployment,
    ColdStart,
    Goldens,
    InferenceFunction,
    InvalidInferenceConfig,
    ModelSource,
    Processing,
    ProvisionedConcurrency,
    TrafficShift,
)
from tests.support import models, synth

ALIAS, FUNCTION, GROUP = "AWS::Lambda::Alias", "AWS::Lambda::Function", "AWS::CodeDeploy::DeploymentGroup"


def package(directory: Path) -> Path:
    """A model with a sample; the samples' files are not read at synth."""
    path = models.save_package(directory)
    goldens = path / "goldens"
    goldens.mkdir()
    tolerances = {"y": {"rtol": 1e-3, "atol": 1e-4}}
    samples = [{"inputs": "0.inputs.npz", "outputs": "0.outputs.npz"}]
    (goldens / "goldens.json").write_text(json.dumps({"outputs": tolerances, "samples": samples}))
    for name in samples[0].values():
        (goldens / name).write_bytes(b"an array")
    return path


def function(stack: Stack, path: Path, **options: Any) -> InferenceFunction:
    return InferenceFunction(stack, "Digits", model=ModelSource.in_image(path), **options)


def alias_of(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = [made for made in synth.resources_of(template, ALIAS) if "UpdatePolicy" in made]
    return found


def hooks(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: made["Properties"]
        for name, made in template["Resources"].items()
        if made["Type"] == FUNCTION and made["Properties"]["ImageConfig"]["Command"] == ["onnx_handler.verify.handler"]
    }


def test_template(stack: Stack, tmp_path: Path) -> None:
    canary = CanaryDeployment(stack, "Rollout", function=function(stack, package(tmp_path / "digits")))
    template = synth.template_of(stack)
    alias = alias_of(template)
    policy = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    found = hooks(template)
    assert {policy["BeforeAllowTrafficHook"]["Ref"], policy["AfterAllowTrafficHook"]["Ref"]} == set(found)
    before = found[policy["BeforeAllowTrafficHook"]["Ref"]]["Environment"]["Variables"]
    after = found[policy["AfterAllowTrafficHook"]["Ref"]]["Environment"]["Variables"]
    assert before["VERIFY_TARGET"]["Ref"] == alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
    assert after["VERIFY_TARGET"]["Fn::Join"][1][-1] == ":live"
    assert '"model":"digits","version":"1"' in json.dumps(before["VERIFY_GOLDENS"]).replace("\\", "")
    group = synth.only(template, GROUP)
    assert group["AutoRollbackConfiguration"]["Events"] == [
        "DEPLOYMENT_FAILURE",
        "DEPLOYMENT_STOP_ON_REQUEST",
        "DEPLOYMENT_STOP_ON_ALARM",
    ]
    assert "CodeDeployDefault.LambdaCanary10Percent5Minutes" in json.dumps(group["DeploymentConfigName"])
    assert canary.pre_traffic is not None


def test_hooks_may_do_what_they_do_before_the_alias_moves(stack: Stack, tmp_path: Path) -> None:
    CanaryDeployment(stack, "Rollout", function=function(stack, package(tmp_path / "digits")))
    template = synth.template_of(stack)
    waits_for = alias_of(template)["DependsOn"]
    reports = [
        name
        for name, made in template["Resources"].items()
        if "codedeploy:PutLifecycleEventHookExecutionStatus" in json.dumps(made)
    ]
    assert len(reports) == 2
    assert set(reports) <= set(waits_for)
    roles = [made for made in synth.resources_of(template, "AWS::IAM::Role") if "golden samples" in str(made)]
    for role in roles:
        statements = [s for policy in role["Properties"]["Policies"] for s in policy["PolicyDocument"]["Statement"]]
        assert sorted(str(statement["Action"]) for statement in statements if statement["Resource"] != "*")
        assert "*" not in [statement["Action"] for statement in statements]
        invoke = next(s for s in statements if s["Action"] == "lambda:InvokeFunction")
        assert invoke["Resource"] != "*"


def test_the_alarm_is_of_the_new_version_alone(stack: Stack, tmp_path: Path) -> None:
    CanaryDeployment(stack, "Rollout", function=function(stack, package(tmp_path / "digits")))
    alarm = synth.only(synth.template_of(stack), "AWS::CloudWatch::Alarm")
    assert {dimension["Name"] for dimension in alarm["Dimensions"]} == {"FunctionName", "Resource", "ExecutedVersion"}
    assert alarm["TreatMissingData"] == "notBreaching"


def test_nothing_of_the_function_changes_but_its_alias_policy(tmp_path: Path) -> None:
    path = package(tmp_path / "digits")

    def resources(with_canary: bool) -> dict[str, Any]:
        stack = Stack(synth.new_app(tmp_path / f"cdk.out{with_canary}"), "Shop")
        made = function(stack, path)
        if with_canary:
            CanaryDeployment(stack, "Rollout", function=made)
        found: dict[str, Any] = synth.template_of(stack)["Resources"]
        return {name: value for name, value in found.items() if name.startswith("Digits")}

    plain, canary = resources(False), resources(True)
    assert plain.keys() == canary.keys()
    (alias,) = [name for name, made in plain.items() if made["Type"] == ALIAS]
    assert [name for name in plain if plain[name] != canary[name]] == [alias]
    assert plain[alias]["Properties"] == canary[alias]["Properties"]


@pytest.mark.parametrize(
    ("shift", "config"),
    [
        (TrafficShift.all_at_once(), "LambdaAllAtOnce"),
        (TrafficShift.canary(), "LambdaCanary10Percent5Minutes"),
        (TrafficShift.canary(percentage=25, interval=Duration.hours(1)), "TimeBasedCanary"),
        (TrafficShift.linear(percentage=20), "TimeBasedLinear"),
    ],
)
def test_shifts(stack: Stack, tmp_path: Path, shift: Any, config: str) -> None:
    CanaryDeployment(stack, "Rollout", function=function(stack, package(tmp_path / "digits")), shift=shift)
    assert config in json.dumps(synth.template_of(stack))


def test_given_goldens_of_what_clients_send(stack: Stack, tmp_path: Path) -> None:
    processing = tmp_path / "text.py"
    processing.write_text("def preprocess(request): return request.inputs\n")
    recorded = package(tmp_path / "digits") / "goldens"
    made = function(stack, tmp_path / "digits", processing=Processing(str(processing)))
    CanaryDeployment(stack, "Rollout", function=made, goldens=Goldens.at({"digits": recorded}))
    assert len(hooks(synth.template_of(stack))) == 2


def test_without_goldens_alarms_remain(stack: Stack, tmp_path: Path) -> None:
    path = models.save(models.matmul(), tmp_path / "digits")
    goldens = Goldens.none(reason="the model is random")
    canary = CanaryDeployment(stack, "Rollout", function=function(stack, path), goldens=goldens)
    assert canary.pre_traffic is canary.post_traffic is None
    template = synth.template_of(stack)
    assert hooks(template) == {}
    assert "BeforeAllowTrafficHook" not in json.dumps(alias_of(template))


def codes(stack: Stack, made: InferenceFunction, **options: Any) -> list[str]:
    with pytest.raises(InvalidInferenceConfig) as raised:
        CanaryDeployment(stack, "Rollout", function=made, **options)
    assert "/Rollout" in str(raised.value)
    return [problem.code for problem in raised.value.problems]


def test_a_bare_model_has_no_goldens(stack: Stack, tmp_path: Path) -> None:
    made = function(stack, models.save(models.matmul(), tmp_path / "digits"))
    assert codes(stack, made) == ["goldens-missing"]


def test_goldens_of_a_package_are_not_what_clients_send(stack: Stack, tmp_path: Path) -> None:
    processing = tmp_path / "text.py"
    processing.write_text("def preprocess(request): return request.inputs\n")
    made = function(stack, package(tmp_path / "digits"), processing=Processing(str(processing)))
    assert codes(stack, made) == ["goldens-processing"]


@pytest.mark.parametrize("broken", ["", "[]", '{"samples": []}', '{"samples": [], "outputs": {}}', "missing", "large"])
def test_goldens_that_are_none(stack: Stack, tmp_path: Path, broken: str) -> None:
    path = package(tmp_path / "digits")
    made = function(stack, path)
    if broken == "missing":
        (path / "goldens" / "0.outputs.npz").unlink()
    elif broken == "large":
        (path / "goldens" / "0.outputs.npz").write_bytes(bytes(3 * 1024**2 + 1))
    else:
        (path / "goldens" / "goldens.json").write_text(broken)
    assert codes(stack, made) == ["goldens-invalid"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"goldens": Goldens.none(reason=" ")}, ["reason-missing"]),
        ({"goldens": Goldens.at({"dogs": "nowhere"})}, ["goldens-unknown", "goldens-missing"]),
        ({"goldens": Goldens.at({"digits": "nowhere"})}, ["goldens-invalid"]),
        ({"shift": TrafficShift.canary(percentage=0)}, ["traffic-shift-percentage"]),
        ({"shift": TrafficShift.linear(percentage=100)}, ["traffic-shift-percentage"]),
        ({"shift": TrafficShift.canary(interval=Duration.seconds(90))}, ["traffic-shift-interval"]),
        ({"shift": TrafficShift.linear(interval=Duration.minutes(2881))}, ["traffic-shift-interval"]),
        ({"shift": TrafficShift.canary(percentage=True)}, ["traffic-shift-percentage"]),
        ({"shift": TrafficShift.canary(interval=5)}, ["traffic-shift-interval"]),  # type: ignore[arg-type]
        ({"hook_timeout": Duration.seconds(29)}, ["timeout-range"]),
        ({"hook_timeout": 60}, ["timeout-range"]),
        ({"hook_timeout": Duration.seconds(901)}, ["timeout-range"]),
    ],
)
def test_wrong(stack: Stack, tmp_path: Path, options: dict[str, Any], expected: list[str]) -> None:
    assert codes(stack, function(stack, package(tmp_path / "digits")), **options) == expected


def test_one_deployment_group_for_an_alias(stack: Stack, tmp_path: Path) -> None:
    made = function(stack, package(tmp_path / "digits"))
    CanaryDeployment(stack, "First", function=made)
    assert codes(stack, made) == ["canary-duplicate"]


SCALED = ColdStart.provisioned(ProvisionedConcurrency(min_capacity=1, max_capacity=5))


def test_provisioned_concurrency_that_is_scaled(stack: Stack, tmp_path: Path) -> None:
    made = function(stack, package(tmp_path / "digits"), cold_start=SCALED)
    assert codes(stack, made) == ["canary-provisioned-scaling"]
    CanaryDeployment(stack, "AtOnce", function=made, shift=TrafficShift.all_at_once())


def test_provisioned_concurrency_that_stays_is_warned_of(stack: Stack, tmp_path: Path) -> None:
    cold_start = ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2))
    CanaryDeployment(stack, "Rollout", function=function(stack, package(tmp_path / "d"), cold_start=cold_start))
    Annotations.from_stack(stack).has_warning(
        "/Shop/Rollout", Match.string_like_regexp("cdk-onnx-inference:canary-provisioned")
    )


def test_the_same_samples_are_the_same_template(tmp_path: Path) -> None:
    path = package(tmp_path / "digits")

    def template(number: int) -> dict[str, Any]:
        stack = Stack(synth.new_app(tmp_path / f"cdk.out{number}"), "Shop")
        CanaryDeployment(stack, "Rollout", function=function(stack, path))
        return synth.template_of(stack)

    first = template(1)
    copy = tmp_path / "elsewhere" / "digits"
    shutil.copytree(path, copy)
    path = copy
    assert template(2) == first
