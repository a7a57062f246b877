"""The prebuilt stack and the app around it, as `cdk synth` runs it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from cdk_onnx_inference import ApiAuth, ApiType, ModelSource
from stacks.context import KEYS, RealtimeOptions, realtime_options
from stacks.realtime import Realtime
from tests.constructs.conftest import Codes
from tests.support import models, synth


def run_app(outdir: Path, context: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CDK_OUTDIR": str(outdir), "CDK_CONTEXT_JSON": json.dumps(context)}
    return subprocess.run(
        [sys.executable, str(synth.ROOT / "app.py")], cwd=cwd, env=environment, capture_output=True, text=True
    )


def read(**context: Any) -> RealtimeOptions:
    return realtime_options(App(context=context).node, default_model=Path("examples/digits/model.onnx"))


def test_outputs(tmp_path: Path, model: ModelSource) -> None:
    template = synth.template_of(Realtime(synth.new_app(tmp_path), "Realtime", model=model))
    assert sorted(template["Outputs"]) == ["AliasArn", "Endpoint", "FunctionName"]


def test_app_serves_the_model_of_the_context(tmp_path: Path) -> None:
    models.save(models.matmul(), tmp_path / "mine")
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    done = run_app(tmp_path / "out", {"model": "mine", "processing": "words.py", "memory": "3008"}, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    template = json.loads((tmp_path / "out" / "Realtime.template.json").read_text())
    made = synth.only(template, "AWS::Lambda::Function")
    assert (made["MemorySize"], made["Timeout"]) == (3008, 29)
    assert made["Environment"]["Variables"]["MODEL_NAME"] == "mine"
    assert made["Environment"]["Variables"]["PROCESSING_PATH"] == "processing/words.py"


def test_app_fails_without_a_stack_trace(tmp_path: Path) -> None:
    done = run_app(tmp_path / "out", {"memory": "64", "model": "none"}, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("2 problems in the inference configuration:\n  - Realtime/Inference.model.path: got")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "Realtime.template.json").exists()


def test_defaults() -> None:
    options = read()
    assert options["model"] == ModelSource.in_image("examples/digits/model.onnx")
    assert (options["processing"], options["memory_size"], options["timeout"].to_seconds()) == (None, 1769, 29)
    assert (options["api_type"], options["auth"]) == (ApiType.http_api(), ApiAuth.iam())


def test_every_option() -> None:
    options = read(
        model="m.onnx",
        name="n",
        version="2",
        processing="p.py",
        requirements="r.txt",
        memory="512",
        timeout="10",
        api="rest",
        auth="none",
        auth_reason="why",
    )
    assert options["model"] == ModelSource.in_image("m.onnx", name="n", version="2")
    assert options["processing"] is not None
    assert (options["processing"].file, options["processing"].requirements) == ("p.py", "r.txt")
    assert (options["memory_size"], options["timeout"].to_seconds()) == (512, 10)
    assert (options["api_type"], options["auth"]) == (ApiType.rest_api(), ApiAuth.none(reason="why"))


def test_auth() -> None:
    assert read(auth="jwt", issuer="https://i", audience="a")["auth"] == ApiAuth.jwt(issuer="https://i", audience=["a"])
    assert read(auth="api-key")["auth"] == ApiAuth.api_key()
    assert read(auth="iam")["auth"] == ApiAuth.iam()


def test_account_log_role() -> None:
    assert read(api="rest", account_log_role="yes")["api_type"] == ApiType.rest_api(account_log_role=True)
    assert read(api="rest", account_log_role="no")["api_type"] == ApiType.rest_api()


def test_numbers_of_a_cdk_json() -> None:
    assert read(memory=512, version=2)["memory_size"] == 512
    assert read(version=2)["model"].version == "2"


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({"memory": "1 GB"}, "context-value"),
        ({"memory": "-1"}, "context-value"),
        ({"memory": ""}, "context-value"),
        ({"memory": True}, "context-value"),
        ({"timeout": "9" * 10}, "context-value"),
        ({"api": "grpc"}, "context-value"),
        ({"auth": "basic"}, "context-value"),
        ({"account_log_role": "maybe"}, "context-value"),
        ({"model": {"path": "x"}}, "context-value"),
        ({"requirements": "r.txt"}, "context-value"),
        ({"memroy": "512"}, "context-key"),
        ({"auth-reason": "x"}, "context-key"),
    ],
)
def test_fails_on(codes: Codes, context: dict[str, Any], code: str) -> None:
    assert codes(lambda: read(**context)) == [code]


def test_other_context_is_not_ours() -> None:
    read(**{"@aws-cdk/core:checkSecretUsage": True, "availability-zones:account=1": ["a"], "stage": "prod"})


def test_every_key_is_documented() -> None:
    text = (synth.ROOT / "stacks" / "context.py").read_text()
    assert [key for key in KEYS if f"{key}=" not in text] == []
