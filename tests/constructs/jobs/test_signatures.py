"""The file in the image by which the job API checks requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aws_cdk import Stack, Token

from cdk_onnx_inference import AsyncInference, ModelSource, Processing
from tests.constructs.jobs.conftest import SERVICE, Make, functions, template, variables
from tests.support import models


def signatures(jobs: AsyncInference) -> Any:
    app = Stack.of(jobs).node.root
    uri = json.dumps(functions(template(jobs))[SERVICE]["Code"])
    (directory,) = (path for path in Path(app.outdir).glob("asset.*") if path.name.removeprefix("asset.") in uri)  # type: ignore[attr-defined]
    return json.loads((directory / "signatures.json").read_text())["models"]


def test_the_image_knows_the_models_signature(make: Make) -> None:
    assert signatures(make()) == [
        {
            "name": "digits",
            "version": "1",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        }
    ]


def test_the_manifests_signature_comes_first(make: Make, tmp_path: Path) -> None:
    package = models.save_package(
        tmp_path / "digits",
        signature={
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 4], "axes": ["", ""]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [8, 3], "axes": ["", ""]}],
        },
    )
    ((model,),) = [signatures(make(function={"model": ModelSource.in_image(package)}))]
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [8, 4]}]


def test_processing_makes_the_signature_unknown(make: Make, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    jobs = make(function={"processing": Processing(tmp_path / "words.py")})
    assert signatures(jobs) == [{"name": "digits", "version": "1"}]


def test_a_name_that_is_not_known_at_synth_makes_all_unknown(make: Make, model_path: Path) -> None:
    name = Token.as_string({"Ref": "AWS::StackName"})
    jobs = make(function={"model": ModelSource.in_image(model_path, name=name)})
    assert signatures(jobs) == []
    assert "MODEL_SIGNATURES" not in variables(template(jobs), "JobApi")


def test_several_models(make: Make, model_path: Path) -> None:
    several = [ModelSource.in_image(model_path), ModelSource.from_s3(model_path, name="other", version="7")]
    found = signatures(make(function={"model": several}))
    assert [(model["name"], model["version"]) for model in found] == [("digits", "1"), ("other", "7")]
    assert found[0]["inputs"] == found[1]["inputs"]
