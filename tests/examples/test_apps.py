"""Each example with an app.py is a project to copy: the copy synthesises to what the example promises."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from tests.support import synth

EXAMPLES = synth.ROOT / "examples"
APPS = sorted(path.parent.name for path in EXAMPLES.glob("*/app.py"))

Templates = dict[str, dict[str, Any]]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a user who has installed the library."""
    paths = os.pathsep.join(str(synth.ROOT / folder) for folder in ("constructs", "toolkit"))
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": paths, **variables}


def copied(example: str, project: Path) -> Path:
    """The copy of an example, beside copies of the models that it serves."""
    for name in (example, "digits", *(["language"] if example == "two_models" else [])):
        shutil.copytree(EXAMPLES / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    return project / example


@pytest.fixture
def synthesised(tmp_path: Path) -> Callable[[str], Templates]:
    """Copies an example as examples/README.md says, runs its app, and gives its stacks' templates."""

    def run(example: str) -> Templates:
        folder = copied(example, tmp_path / "project")
        out = tmp_path / "cdk.out"
        variables = environment(CDK_OUTDIR=str(out), CDK_VALIDATION="false")
        before = sorted(folder.parent.rglob("*"))
        command, script = shlex.split(json.loads((folder / "cdk.json").read_text())["app"])
        assert command == "python"
        subprocess.run([sys.executable, script], check=True, env=variables, cwd=folder)
        assert sorted(folder.parent.rglob("*")) == before  # a synth leaves nothing but the assembly
        return {
            path.name.removesuffix(".template.json"): json.loads(path.read_text())
            for path in out.glob("*.template.json")
        }

    return run


def by_command(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    functions = [each["Properties"] for each in synth.resources_of(template, "AWS::Lambda::Function")]
    return {each["ImageConfig"]["Command"][0]: each for each in functions if "ImageConfig" in each}


@pytest.mark.parametrize("example", APPS)
def test_example_is_complete(example: str) -> None:
    folder = EXAMPLES / example
    assert ast.get_docstring(ast.parse((folder / "app.py").read_text())), "say what it shows"
    assert json.loads((folder / "cdk.json").read_text()) == {"app": "python app.py"}


def test_the_readme_lists_every_example() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\) \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert all(name == link for name, link in listed)
    assert sorted(name for name, _ in listed) == sorted({path.parent.name for path in EXAMPLES.glob("*/*.py")})


def test_own_app(synthesised: Callable[[str], Templates]) -> None:
    template = synthesised("own_app")["Shop"]
    assert synth.only(template, "AWS::Lambda::Alias")["Name"] == "live"
    assert synth.only(template, "AWS::ApiGatewayV2::Api")["ProtocolType"] == "HTTP"


def test_own_app_on_this_machine(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "local.py"],
        check=True,
        env=environment(CDK_VALIDATION="false"),
        cwd=copied("own_app", tmp_path / "project"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout.splitlines()[-1] == "logits (1, 10)"


def test_existing_network(synthesised: Callable[[str], Templates]) -> None:
    template = synthesised("existing_network")["Scans"]
    assert not synth.resources_of(template, "AWS::EC2::VPC")
    assert not synth.resources_of(template, "AWS::EC2::NatGateway")
    functions = by_command(template)
    worker = functions["onnx_handler.queue.handler"]
    assert worker["VpcConfig"]["SubnetIds"] == ["subnet-0a1b2c3d", "subnet-1b2c3d4e"]
    assert worker["FileSystemConfigs"][0]["LocalMountPath"] == "/mnt/models"
    sources = [each["Properties"] for each in synth.resources_of(template, "AWS::Lambda::EventSourceMapping")]
    assert {
        each["EventSourceArn"].rsplit(":", 1)[1]: each["ScalingConfig"]["MaximumConcurrency"] for each in sources
    } == {
        "scans": 5,
        "scans-dead-letters": 2,
    }
    assert len(synth.resources_of(template, "AWS::SQS::Queue")) == 1  # that of failed jobs


def test_two_models(synthesised: Callable[[str], Templates]) -> None:
    template = synthesised("two_models")["Readers"]
    synth.only(template, "AWS::ApiGatewayV2::Api")
    integrations = {
        key: json.dumps(each["Properties"]["IntegrationUri"])
        for key, each in template["Resources"].items()
        if each["Type"] == "AWS::ApiGatewayV2::Integration"
    }
    targets: dict[str, str] = {}
    for route in synth.resources_of(template, "AWS::ApiGatewayV2::Route"):
        properties = route["Properties"]
        assert properties["AuthorizationType"] == "AWS_IAM"
        (used,) = (uri for key, uri in integrations.items() if key in json.dumps(properties["Target"]))
        targets[properties["RouteKey"]] = used
    assert "LanguageAlias" in targets["POST /v2/models/language/infer"]
    assert "DigitsAlias" in targets["POST /v2/models/{model}/infer"]
    models = {
        each["Properties"]["Environment"]["Variables"]["MODEL_NAME"]: each["Properties"]["MemorySize"]
        for each in synth.resources_of(template, "AWS::Lambda::Function")
    }
    assert models == {"digits": 1769, "language": 3008}


def test_private_rest_api(synthesised: Callable[[str], Templates]) -> None:
    template = synthesised("private_rest_api")["Intranet"]
    api = synth.only(template, "AWS::ApiGateway::RestApi")
    assert api["EndpointConfiguration"]["Types"] == ["PRIVATE"]
    (statement,) = api["Policy"]["Statement"]
    assert statement["Condition"]["StringEquals"]["aws:SourceVpce"] == api["EndpointConfiguration"]["VpcEndpointIds"][0]
    assert all(each["Properties"]["ApiKeyRequired"] for each in synth.resources_of(template, "AWS::ApiGateway::Method"))
    plans = [each["Properties"] for each in synth.resources_of(template, "AWS::ApiGateway::UsagePlan")]
    assert sorted(plan["Throttle"]["RateLimit"] for plan in plans) == [5, 50]
    assert [plan["Quota"]["Limit"] for plan in plans if "Quota" in plan] == [100_000]
    assert len(synth.resources_of(template, "AWS::ApiGateway::UsagePlanKey")) == 2
    assert not synth.resources_of(template, "AWS::EC2::NatGateway")


def test_other_accounts_image(synthesised: Callable[[str], Templates], monkeypatch: pytest.MonkeyPatch) -> None:
    digest = f"sha256:{'c3' * 32}"
    monkeypatch.setenv("CDK_CONTEXT_JSON", json.dumps({"digest": digest}))
    function = synth.only(synthesised("other_accounts_image")["Shop"], "AWS::Lambda::Function")
    uri = json.dumps(function["Code"]["ImageUri"])
    assert "111122223333.dkr.ecr.eu-west-1." in uri
    assert f"/digits@{digest}" in uri


def test_three_stacks(synthesised: Callable[[str], Templates]) -> None:
    templates = synthesised("three_stacks")
    assert set(templates) == {"Network", "Storage", "Compute"}
    synth.only(templates["Network"], "AWS::EC2::VPC")
    synth.only(templates["Storage"], "AWS::EFS::FileSystem")
    holds_data = ("AWS::EFS::FileSystem", "AWS::EC2::VPC", "AWS::EFS::AccessPoint")
    assert not any(each["Type"] in holds_data for each in templates["Compute"]["Resources"].values())
    published = synth.only(templates["Compute"], "Custom::OnnxModel")
    assert "Storage" in json.dumps(published["ServiceToken"])
    storage = json.dumps(templates["Storage"])
    assert published["PackageDigest"].removeprefix("sha256:") not in storage  # another model does not change this stack
    assert not any(text in storage for text in ("Compute:", 'Fn::ImportValue": "Compute'))  # nor refers to it


def test_rollout(synthesised: Callable[[str], Templates]) -> None:
    template = synthesised("rollout")["Shop"]
    assert set(by_command(template)) == {"onnx_handler.http.handler", "onnx_handler.verify.handler"}
    (alias,) = (
        each
        for each in synth.resources_of(template, "AWS::Lambda::Alias")
        if "CodeDeployLambdaAliasUpdate" in json.dumps(each)
    )
    hooks = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert {"BeforeAllowTrafficHook", "AfterAllowTrafficHook"} <= set(hooks)
    names = [each["Properties"].get("Threshold") for each in synth.resources_of(template, "AWS::CloudWatch::Alarm")]
    assert 0.5 in names
    synth.only(template, "AWS::CloudWatch::Dashboard")
    synth.only(template, "AWS::SNS::Topic")


def test_package_of_the_rollout_is_that_of_the_digits() -> None:
    package = EXAMPLES / "rollout" / "package"
    original = ort.InferenceSession(EXAMPLES / "digits" / "model.onnx", providers=["CPUExecutionProvider"])
    samples = sorted((package / "goldens").glob("*.inputs.npz"))
    assert samples
    for sample in samples:
        inputs = dict(np.load(sample))
        expected = np.load(str(sample).replace(".inputs.", ".outputs."))
        np.testing.assert_allclose(original.run(["logits"], inputs)[0], expected["logits"], rtol=1e-3, atol=1e-4)


def test_checked(tmp_path: Path) -> None:
    folder = copied("checked", tmp_path / "project")
    text = (folder / "app.py").read_text()
    slow = text.replace('name="digits"))', 'name="digits"), timeout=Duration.minutes(1))').replace(
        "import App, Stack", "import App, Duration, Stack"
    )
    assert slow != text
    (folder / "app.py").write_text(slow)
    variables = environment(CDK_OUTDIR=str(tmp_path / "out"))
    variables.pop("CDK_VALIDATION", None)
    subprocess.run([sys.executable, "app.py"], check=True, env=variables, cwd=folder)
    report = json.loads((tmp_path / "out" / "validation-report.json").read_text())
    found = [each["ruleName"] for plugin in report["pluginReports"] for each in plugin["violations"]]
    assert any("api-timeout" in rule for rule in found)
