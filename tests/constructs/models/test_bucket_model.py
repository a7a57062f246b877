from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack, Token
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import InferenceFunction, ModelPart, ModelSource
from cdk_onnx_inference.models import _bucket_model
from tests.constructs.conftest import Codes
from tests.support import models, synth

HEX = "0123456789abcdef" * 4
GRAPH = ModelPart("model.onnx", 170, HEX)
WEIGHTS = ModelPart("model.onnx.data", 48, HEX)


@pytest.fixture
def bucket(stack: Stack) -> s3.IBucket:
    """An existing bucket."""
    return s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")


def serve(stack: Stack, **options: Any) -> synth.Template:
    InferenceFunction(stack, "Digits", model=ModelSource.from_bucket(**options))
    return synth.template_of(stack)


def variables(template: synth.Template) -> dict[str, Any]:
    found: dict[str, Any] = synth.only(template, "AWS::Lambda::Function")["Environment"]["Variables"]
    return found


def test_parts(stack: Stack, bucket: s3.IBucket) -> None:
    template = serve(stack, bucket=bucket, prefix="models/resnet", parts=[WEIGHTS, GRAPH])
    made = variables(template)
    assert json.loads(made["MODEL_OBJECTS"])["parts"] == [
        {"path": "model.onnx.data", "uri": "s3://our-models/models/resnet/model.onnx.data", "size": 48, "sha256": HEX},
        {"path": "model.onnx", "uri": "s3://our-models/models/resnet/model.onnx", "size": 170, "sha256": HEX},
    ]
    assert (made["MODEL_NAME"], made["MODEL_CACHE_SIZE"]) == ("resnet", "448")
    assert "MODEL_PATH" not in made
    assets = json.loads((Path(stack.node.root.outdir) / "Shop.assets.json").read_text())  # type: ignore[attr-defined]
    assert [name for name in assets["files"].values() if "onnx" in json.dumps(name)] == []


def test_manifest(stack: Stack, bucket: s3.IBucket, tmp_path: Path) -> None:
    package = models.save_package(tmp_path / "digits", name="numbers")
    template = serve(stack, bucket=bucket, prefix="m/1/", manifest=package / "manifest.json")
    made = variables(template)
    parts = json.loads(made["MODEL_OBJECTS"])["parts"]
    assert [part["uri"] for part in parts] == [
        f"s3://our-models/m/1/{name}" for name in ("model.onnx", "model.onnx.data", "manifest.json")
    ]
    assert parts[2]["size"] == (package / "manifest.json").stat().st_size
    assert made["MODEL_NAME"] == "numbers"
    assert made["MODEL_DIGEST"] == json.loads((package / "manifest.json").read_text())["digest"]


def test_may_read_these_objects_and_no_others(stack: Stack, bucket: s3.IBucket) -> None:
    template = serve(stack, bucket=bucket, prefix="models/resnet", parts=[GRAPH, WEIGHTS])
    (policy,) = (
        made["Properties"]["PolicyDocument"]["Statement"]
        for name, made in template["Resources"].items()
        if "ReadModel" in name
    )
    assert [(statement["Action"], statement["Effect"]) for statement in policy] == [("s3:GetObject", "Allow")]
    assert [json.dumps(arn).rpartition(":s3:::")[2] for arn in policy[0]["Resource"]] == [
        'our-models/models/resnet/model.onnx"]]}',
        'our-models/models/resnet/model.onnx.data"]]}',
    ]


@pytest.mark.parametrize(("prefix", "key"), [("a", "a/model.onnx"), ("a/", "a/model.onnx"), ("", "model.onnx")])
def test_prefix(stack: Stack, bucket: s3.IBucket, prefix: str, key: str) -> None:
    template = serve(stack, bucket=bucket, prefix=prefix, parts=[GRAPH], name="m")
    assert f"s3://our-models/{key}" in variables(template)["MODEL_OBJECTS"]


def test_values_that_are_known_at_deployment_pass(stack: Stack) -> None:
    text = Token.as_string({"Ref": "Text"})
    bucket = s3.Bucket(stack, "Bucket")
    made = variables(serve(stack, bucket=bucket, prefix=text, parts=[GRAPH], name=text, version=text))
    assert {"Ref": "Text"} in made["MODEL_OBJECTS"]["Fn::Join"][1]
    assert made["MODEL_NAME"] == {"Ref": "Text"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "model-parts"),
        ({"parts": [GRAPH], "manifest": "manifest.json"}, "model-parts"),
        ({"parts": []}, "model-parts"),
        ({"parts": [WEIGHTS]}, "model-parts"),
        ({"parts": [GRAPH, GRAPH]}, "model-parts"),
        ({"parts": [GRAPH, ModelPart("../w", 1, HEX)]}, "model-parts"),
        ({"parts": [ModelPart("model.onnx", 1, HEX.upper())]}, "model-parts"),
        ({"parts": [ModelPart("model.onnx", -1, HEX)]}, "model-parts"),
        ({"parts": [GRAPH], "prefix": "/models"}, "model-prefix"),
        ({"parts": [GRAPH], "prefix": "a//b"}, "model-prefix"),
        ({"parts": [ModelPart("model.onnx", 11 * 1000**3, HEX)]}, "model-too-large"),
        ({"manifest": "none.json"}, "model-manifest"),
        ({"parts": [GRAPH], "prefix": "a b"}, "model-name"),
    ],
)
def test_fails_on(codes: Codes, stack: Stack, bucket: s3.IBucket, options: dict[str, Any], code: str) -> None:
    assert codes(lambda: serve(stack, **{"bucket": bucket, "prefix": "models", **options})) == [code]


def test_fails_on_a_manifest_without_parts_or_of_other_parts(
    codes: Codes, stack: Stack, bucket: s3.IBucket, tmp_path: Path
) -> None:
    package = models.save_package(tmp_path / "digits", digest=f"sha256:{HEX}")
    manifest = package / "manifest.json"
    assert codes(lambda: serve(stack, bucket=bucket, prefix="m", manifest=manifest)) == ["model-digest-mismatch"]
    manifest.write_text("{}")
    source = ModelSource.from_bucket(bucket=bucket, prefix="m", manifest=manifest)
    assert [problem.code for problem in _bucket_model.collect("p", source)[1]] == ["model-parts"]
