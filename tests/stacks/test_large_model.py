from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from cdk_onnx_inference import ApiAuth, ApiType, Removal
from stacks.context import LargeModelOptions, large_model_options, realtime_options
from stacks.large_model import LargeModel, Source
from tests.constructs.conftest import Codes
from tests.stacks.test_realtime import run_app
from tests.support import models, synth

DEFAULT = Path("examples/digits/model.onnx")


def read(**context: Any) -> LargeModelOptions:
    return large_model_options(App(context={"source": "efs", **context}).node, default_model=DEFAULT)


@pytest.mark.parametrize("source", Source)
def test_outputs(tmp_path: Path, source: Source) -> None:
    stack = LargeModel(
        synth.new_app(tmp_path / "out"), "LargeModel", path=models.save_package(tmp_path / "digits"), source=source
    )
    assert sorted(synth.template_of(stack)["Outputs"]) == ["AliasArn", "Endpoint", "FunctionName"]


def test_defaults() -> None:
    options = read()
    assert (options["path"], options["name"], options["version"]) == (str(DEFAULT), None, "1")
    assert (options["source"], options["keep_versions"], options["removal"]) == (Source.EFS, 3, Removal.retain())
    assert (options["processing"], options["memory_size"], options["timeout"].to_seconds()) == (None, 1769, 29)
    assert (options["api_type"], options["auth"]) == (ApiType.http_api(), ApiAuth.iam())


def test_every_option() -> None:
    options = read(
        source="s3-files",
        model="m",
        name="n",
        version="2",
        keep_versions="5",
        removal="destroy",
        removal_reason="why",
        processing="p.py",
        memory="512",
        timeout="10",
        api="rest",
        auth="none",
        auth_reason="why",
    )
    assert (options["path"], options["name"], options["version"]) == ("m", "n", "2")
    assert (options["source"], options["keep_versions"]) == (Source.S3_FILES, 5)
    assert options["removal"] == Removal.destroy(reason="why")
    assert options["processing"] is not None
    assert (options["memory_size"], options["timeout"].to_seconds()) == (512, 10)
    assert (options["api_type"], options["auth"]) == (ApiType.rest_api(), ApiAuth.none(reason="why"))


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({"source": "ftp"}, "context-value"),
        ({"removal": "maybe"}, "context-value"),
        ({"keep_versions": "two"}, "context-value"),
        ({"removal-reason": "x"}, "context-key"),
        ({"sources": "efs"}, "context-key"),
    ],
)
def test_fails_on(codes: Codes, context: dict[str, Any], code: str) -> None:
    assert codes(lambda: read(**context)) == [code]


@pytest.mark.parametrize("key", ["keep_versions", "removal", "removal_reason"])
def test_realtime_has_no_storage(codes: Codes, key: str) -> None:
    node = App(context={key: "3"}).node
    assert codes(lambda: realtime_options(node, default_model=DEFAULT)) == ["context-value"]


def test_removal_takes_a_reason(codes: Codes, tmp_path: Path) -> None:
    app = synth.new_app(tmp_path)
    assert codes(lambda: LargeModel(app, "L", path=DEFAULT, removal=read(removal="destroy")["removal"])) == [
        "reason-missing"
    ]


def test_app_makes_large_model_alone_when_it_is_asked_for(tmp_path: Path) -> None:
    models.save_package(tmp_path / "mine")
    done = run_app(tmp_path / "out", {"source": "efs", "model": "mine", "memory": "3008"}, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert [path.name for path in (tmp_path / "out").glob("*.template.json")] == ["LargeModel.template.json"]
    template = json.loads((tmp_path / "out" / "LargeModel.template.json").read_text())
    assert len(synth.resources_of(template, "Custom::OnnxModel")) == 1
    images = [path for path in (tmp_path / "out").glob("asset.*") if (path / "Dockerfile").is_file()]
    assert len(images) == 1
    assert not list(images[0].rglob("*.onnx"))


def test_app_fails_without_a_stack_trace(tmp_path: Path) -> None:
    done = run_app(tmp_path / "out", {"source": "s3", "model": "none"}, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("1 problem in the inference configuration:\n  - LargeModel/Inference.model.path: got")
    assert "Traceback" not in done.stderr
