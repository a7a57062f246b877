"""Cloud assemblies: what is read of them, and how an app that writes one is run."""

import json

import pytest

from onnx_inference.local.deployment.cloud_assembly import AssemblyError, CloudAssembly
from onnx_inference.local.deployment.synthesis import CdkApp, SynthesisError


def write(directory, artifacts, **files):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").write_text(json.dumps({"version": "55.0.0", "artifacts": artifacts}))
    for name, value in files.items():
        (directory / f"{name}.json").write_text(json.dumps(value))
    return directory


def stack(name, *dependencies, environment="aws://unknown-account/unknown-region", **properties):
    return {
        "type": "aws:cloudformation:stack",
        "environment": environment,
        "dependencies": list(dependencies),
        "properties": {"templateFile": f"{name}.json", **properties},
    }


@pytest.fixture
def directory(tmp_path):
    assets = {
        "files": {
            "a": {
                "source": {"path": "code", "packaging": "zip"},
                "destinations": {"d": {"bucketName": "b", "objectKey": "k"}},
            },
            "external": {"source": {"executable": ["make"]}, "destinations": {}},
        },
        "dockerImages": {
            "hash": {
                "source": {"directory": "asset.hash", "dockerFile": "Own"},
                "destinations": {"d": {"repositoryName": "r", "imageTag": "hash"}},
            }
        },
    }
    template = {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}, "R": {"Type": "AWS::SQS::Queue"}}}
    write(
        tmp_path / "nested",
        {"Inner": stack("inner", stackName="Stage-Inner", displayName="Stage/Inner")},
        inner=template,
    )
    return write(
        tmp_path,
        {
            "Second": stack("second", "First"),
            "First": stack("first", "First.assets", environment="aws://111111111111/eu-west-1", parameters={"P": "1"}),
            "First.assets": {"type": "cdk:asset-manifest", "properties": {"file": "assets.json"}},
            "Stage": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "nested"}},
            "Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}},
        },
        first=template,
        second=template,
        assets=assets,
    )


def test_stacks_are_read_with_their_assets(directory):
    first = CloudAssembly(directory).select(["First"])[0]
    assert (first.account, first.region) == ("111111111111", "eu-west-1")
    assert first.parameters == {"P": "1"}
    assert first.resource_types() == ["AWS::SQS::Queue", "AWS::SQS::Queue"]
    (file,) = first.file_assets
    assert (file.source, file.packaging, file.bucket, file.key) == (directory / "code", "zip", "b", "k")
    (image,) = first.image_assets
    assert (image.directory, image.docker_file, image.tag) == (directory / "asset.hash", "Own", "hash")


def test_stacks_come_after_those_they_depend_on(directory):
    assembly = CloudAssembly(directory)
    assert [s.stack_name for s in assembly.select(["Second"])] == ["First", "Second"]
    assert [s.stack_name for s in assembly.select()] == ["First", "Second", "Stage-Inner"]


def test_stacks_of_stages_are_found_by_either_name(directory):
    assembly = CloudAssembly(directory)
    assert assembly.select(["Stage-Inner"]) == assembly.select(["Inner"])
    second = assembly.select(["Second"])[-1]
    assert (second.account, second.region) == (None, None)


def test_an_unknown_stack_is_named_with_those_there_are(directory):
    with pytest.raises(AssemblyError, match=r"no stack 'Third'\. It has: Second, First, Stage-Inner"):
        CloudAssembly(directory).select(["Third"])


def test_a_directory_that_is_no_assembly(tmp_path):
    with pytest.raises(AssemblyError, match="not a cloud assembly"):
        CloudAssembly(tmp_path)


def synthesise(app, tmp_path, **context):
    return app.synthesise(
        tmp_path / "out",
        context=context,
        account="1",
        region="r",
        environment={"PATH": "/usr/bin:/bin", "FROM_SHELL": "1"},
    )


def test_an_app_is_run_as_the_cdk_cli_runs_it(tmp_path):
    (tmp_path / "app.py").write_text(
        """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
names = ("CDK_CONTEXT_JSON", "CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION", "FROM_SHELL")
(out / "seen.json").write_text(json.dumps({n: os.environ[n] for n in names} | {"cwd": os.getcwd()}))
(out / "manifest.json").write_text('{"artifacts": {}}')
"""
    )
    (tmp_path / "cdk.json").write_text(json.dumps({"app": "python app.py", "context": {"a": "cdk.json", "b": True}}))
    (tmp_path / "cdk.context.json").write_text(json.dumps({"a": "looked up", "c": 1}))
    synthesise(CdkApp(tmp_path), tmp_path, d="given")
    seen = json.loads((tmp_path / "out" / "seen.json").read_text())
    context = json.loads(seen["CDK_CONTEXT_JSON"])
    assert {name: context[name] for name in "abcd"} == {"a": "cdk.json", "b": True, "c": 1, "d": "given"}
    assert (seen["CDK_DEFAULT_ACCOUNT"], seen["CDK_DEFAULT_REGION"]) == ("1", "r")
    assert seen["cwd"] == str(tmp_path)


def test_what_a_failing_app_printed_is_shown(tmp_path):
    with pytest.raises(SynthesisError, match="exit status 3:\nno such model"):
        synthesise(CdkApp(tmp_path, "echo no such model; exit 3"), tmp_path)


def test_an_app_that_writes_nothing(tmp_path):
    with pytest.raises(SynthesisError, match="wrote no cloud assembly"):
        synthesise(CdkApp(tmp_path, "true"), tmp_path)


def test_no_app_at_all(tmp_path):
    with pytest.raises(SynthesisError, match=r"no cdk\.json"):
        synthesise(CdkApp(tmp_path), tmp_path)
    (tmp_path / "cdk.json").write_text("{")
    with pytest.raises(SynthesisError, match="not valid JSON"):
        CdkApp(tmp_path)
