"""The three packages never import each other, and the source root constructs/ never hides PyPI's constructs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import constructs
import pytest

import cdk_onnx_inference
from tests.support.synth import ROOT

PACKAGES = {
    "cdk_onnx_inference": ROOT / "constructs",
    "onnx_handler": ROOT / "runtime",
    "onnx_inference": ROOT / "toolkit",
}


def imports(package: Path) -> Iterator[tuple[str, str]]:
    """(file, top-level module) of each import, wherever it stands."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                yield path.relative_to(ROOT).as_posix(), name.split(".")[0]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_do_not_import_each_other(package: str) -> None:
    others = PACKAGES.keys() - {package}
    assert [found for found in imports(PACKAGES[package] / package) if found[1] in others] == []


def test_constructs_import_cdk_and_the_standard_library_only() -> None:
    # jsii comes with aws_cdk: an interface of CDK is implemented by its decorator.
    allowed = {"aws_cdk", "cdk_onnx_inference", "constructs", "jsii", "__future__", *sys.stdlib_module_names}
    found = imports(PACKAGES["cdk_onnx_inference"] / "cdk_onnx_inference")
    others = sorted({entry for entry in found if entry[1] not in allowed})
    testing = "constructs/cdk_onnx_inference/testing/"
    assert others == [
        (f"{testing}plugin.py", "pytest"),
        (f"{testing}plugin.py", "syrupy"),
        (f"{testing}replacement.py", "cfnlint"),
    ]


def test_helpers_for_tests_are_not_imported_with_the_constructs() -> None:
    code = "import sys, cdk_onnx_inference; sys.exit('cdk_onnx_inference.testing' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES["cdk_onnx_inference"])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_source_root_is_no_package() -> None:
    """With an __init__.py there, `import constructs` would find it instead of PyPI's package, and CDK would break."""
    assert not (ROOT / "constructs" / "__init__.py").exists()
    assert constructs.__file__ is not None
    assert "site-packages" in Path(constructs.__file__).parts


def test_public_names() -> None:
    """A name leaves this list only with a major version."""
    assert cdk_onnx_inference.__all__ == [
        "AlarmRule",
        "ApiAuth",
        "ApiMetrics",
        "ApiType",
        "AsyncInference",
        "CanaryDeployment",
        "ColdStart",
        "Cors",
        "FileSystemMetrics",
        "FunctionMetrics",
        "Goldens",
        "InferenceApi",
        "InferenceFunction",
        "InferenceMonitoring",
        "InvalidInferenceConfig",
        "JobApi",
        "JobNotices",
        "ModelFileSystem",
        "ModelPart",
        "ModelS3Files",
        "ModelSource",
        "Problem",
        "Processing",
        "ProvisionedConcurrency",
        "ProvisionedSchedule",
        "Removal",
        "ServiceFunction",
        "ServiceImage",
        "Severity",
        "Throttle",
        "TrafficShift",
        "UtilizationStatistic",
        "WarmHours",
        "Warmer",
        "WarmerTrigger",
    ]
    assert all(hasattr(cdk_onnx_inference, name) for name in cdk_onnx_inference.__all__)


def test_public_names_are_in_public_modules() -> None:
    """A file whose name begins with an underscore defines nothing public, and every other defines something public."""
    package = PACKAGES["cdk_onnx_inference"] / "cdk_onnx_inference"
    defining = {getattr(cdk_onnx_inference, name).__module__ for name in cdk_onnx_inference.__all__}
    public = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in package.rglob("*.py")
        if not path.name.startswith("_") and "testing" not in path.parts
    }
    assert public == defining
