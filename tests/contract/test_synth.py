"""A synth depends on its inputs alone, and passes CDK's own validation of templates."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import models
from tests.support.synth import RECOMMENDED_FLAGS, ROOT

TOO_LITTLE_MEMORY = """
import aws_cdk
from cdk_onnx_inference import ModelSource
from stacks.realtime import Realtime

app = aws_cdk.App()
stack = Realtime(app, "Realtime", model=ModelSource.in_image(app.node.get_context("model")))
stack.inference.function.node.default_child.add_property_override("MemorySize", 1)
app.synth()
"""


STACKS = {
    "Realtime": {},
    **{f"LargeModel-{source}": {"source": source} for source in ("efs", "s3", "s3-files")},
    "AsyncJobs": {"stack": "async-jobs"},
    "AsyncJobs-notices-efs": {"stack": "async-jobs", "notices": "event-bus", "source": "efs", "api": "rest"},
}
"""Stack, and what tells it from others of its kind -> the context that makes it."""


def run_app(
    outdir: Path,
    model: Path,
    cwd: Path,
    script: str | None = None,
    /,
    context: Mapping[str, str] | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    context_json = json.dumps({**RECOMMENDED_FLAGS, "model": str(model), **(context or {})})
    return subprocess.run(
        [sys.executable, *(["-c", script] if script else [str(ROOT / "app.py")])],
        cwd=cwd,
        env={**os.environ, "CDK_OUTDIR": str(outdir), "CDK_CONTEXT_JSON": context_json, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A package directory."""
    return models.save_package(tmp_path / "digits")


@pytest.mark.parametrize("stack", STACKS)
def test_is_the_same_whatever_the_environment(tmp_path: Path, model: Path, stack: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    surroundings: tuple[tuple[Path, dict[str, str]], ...] = (
        (ROOT, {"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C"}),
        (tmp_path / "elsewhere", {"TZ": "Pacific/Apia", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"}),
    )
    outputs = []
    for number, (cwd, environment) in enumerate(surroundings):
        outdir = tmp_path / str(number) / "cdk.out"
        done = run_app(outdir, model, cwd, context=STACKS[stack], **environment)
        assert done.returncode == 0, done.stderr
        files = sorted(path.relative_to(outdir).as_posix() for path in outdir.rglob("*"))
        template, assets = (outdir / f"{stack.partition('-')[0]}.{part}.json" for part in ("template", "assets"))
        outputs.append((files, template.read_bytes(), assets.read_bytes()))
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("stack", STACKS)
def test_passes_cdks_validation_as_errors(tmp_path: Path, model: Path, stack: str) -> None:
    assert RECOMMENDED_FLAGS["@aws-cdk/core:validateAgainstDefaultRules"] is True
    done = run_app(tmp_path / "cdk.out", model, tmp_path, context=STACKS[stack], CDK_VALIDATION="true")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "cdk.out" / "validation-report.json").read_text())["pluginReports"] == []


def test_cdks_validation_is_at_work(tmp_path: Path, model: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "constructs")])
    done = run_app(tmp_path / "cdk.out", model, tmp_path, TOO_LITTLE_MEMORY, CDK_VALIDATION="true", PYTHONPATH=path)
    assert done.returncode != 0
    assert "MemorySize" in done.stderr


def test_feature_flags_are_all_that_cdk_recommends() -> None:
    """`cdk.json` pins the recommended set of the locked aws-cdk-lib, which is inside its jsii package."""
    spec = importlib.util.find_spec("aws_cdk._jsii")
    assert spec is not None
    assert spec.origin is not None
    (package,) = Path(spec.origin).parent.glob("aws-cdk-lib*.tgz")
    with tarfile.open(package) as archive:
        flags = archive.extractfile("package/recommended-feature-flags.json")
        assert flags is not None
        assert json.load(flags) == RECOMMENDED_FLAGS
