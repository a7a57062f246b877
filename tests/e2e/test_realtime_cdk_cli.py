"""The prebuilt stack by the real CDK CLI: bootstrap, deploy, again, update, destroy, each with exit status 0."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_inference.infer import EndpointClient, Model, RequestFailed
from onnx_inference.local import LocalTwin
from tests.support import models

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDENS = REPOSITORY / "examples" / "digits" / "goldens"

pytestmark = pytest.mark.skipif(
    not (REPOSITORY / "node_modules" / ".bin" / "cdk").exists(), reason="the CDK CLI is not installed: npm ci"
)


def logical_ids(twin):
    client = twin.client("cloudformation")
    pages = client.get_paginator("list_stack_resources").paginate(StackName="Realtime")
    return {summary["LogicalResourceId"] for page in pages for summary in page["StackResourceSummaries"]}


def template_ids(twin):
    body = twin.client("cloudformation").get_template(StackName="Realtime")["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body
    return set(template["Resources"])


def test_a_deployments_whole_life(tmp_path, monkeypatch):
    path = tmp_path / "same.onnx"
    onnx.save(models.identity(), path)
    with LocalTwin() as twin:
        for name, value in twin.credentials.environment().items():
            if name != "AWS_ENDPOINT_URL":
                monkeypatch.setenv(name, value)

        twin.deploy(directory=REPOSITORY, stacks=["Realtime"], cdk_cli=True)
        assert [run.arguments[0] for run in twin.cli_runs] == ["bootstrap", "deploy"]
        assert template_ids(twin) == logical_ids(twin)
        url = twin.outputs(local=True)["Endpoint"]
        images = np.load(GOLDENS / "images.npy")[:2].astype(np.float32)
        response = Model(EndpointClient(url), "digits").infer({"image": images})
        np.testing.assert_allclose(response.outputs[0].array, np.load(GOLDENS / "logits.npy")[:2], rtol=1e-4, atol=1e-5)
        with pytest.raises(RequestFailed, match="403 Forbidden"):
            Model(EndpointClient(url, auth="none"), "digits").metadata()

        version = twin.invocations()[-1].function_version
        twin.update()
        assert "no changes" in twin.cli_runs[-1].output
        Model(EndpointClient(url), "digits").metadata()
        assert (twin.invocations()[-1].function_version, twin.invocations()[-1].cold_start) == (version, False)

        twin.update(context={"model": str(path)})
        assert template_ids(twin) == logical_ids(twin)
        assert Model(EndpointClient(url), "same").metadata().name == "same"
        assert int(twin.invocations()[-1].function_version) > int(version)

        twin.destroy()
        assert [run.arguments[0] for run in twin.cli_runs] == ["bootstrap", "deploy", "deploy", "deploy", "destroy"]
        assert twin.endpoints() == []
        names = [s["StackName"] for s in twin.client("cloudformation").describe_stacks()["Stacks"]]
        assert names == ["CDKToolkit"]
