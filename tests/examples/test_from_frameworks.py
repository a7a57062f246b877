"""The routes of docs/from-frameworks.md, each where its packages are installed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_inference.prepare.model_package import read_package
from onnx_inference.prepare.preparation import prepare
from onnx_inference.prepare.request import Request
from tests.support.quick_preparation import NoSteps

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "from_frameworks"
GUIDE = ROOT / "docs" / "from-frameworks.md"

# Script -> what it imports.
ROUTES = {
    "scikit_learn.py": ("sklearn", "skl2onnx"),
    "xgboost_trees.py": ("xgboost", "onnxmltools", "sklearn"),
    "lightgbm_trees.py": ("lightgbm", "onnxmltools", "sklearn"),
    "pytorch_encoder.py": ("torch", "onnxscript"),
}


def exported(script: str, folder: Path) -> Path:
    missing = [name for name in ROUTES[script] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install -r examples/from_frameworks/requirements.txt")
    subprocess.run([sys.executable, EXAMPLES / script, folder], check=True, capture_output=True, text=True)
    return folder


@pytest.mark.parametrize("script", ROUTES)
def test_route(script: str, tmp_path: Path) -> None:
    folder = exported(script, tmp_path / "exported")
    result = prepare(
        Request(
            model=folder / "model.onnx", output=tmp_path / "package", goldens=folder / "samples.npz", rounds=1, name="m"
        ),
        NoSteps(),
    )
    assert all(parity.within == 1.0 for parity in result.parity)
    package = read_package(tmp_path / "package")
    index = json.loads((tmp_path / "package" / "goldens" / "goldens.json").read_text())
    assert index["seed"] is None
    assert package.goldens()[0]
    assert b"stack_trace" not in package.graph.read_bytes()


def test_guide_and_scripts_name_each_other() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ROUTES)
    for script in ROUTES:
        assert f"examples/from_frameworks/{script}" in guide
        command = re.search(r"python (\S+) (\S+)\n(onnx-inference prepare .*)\n", (EXAMPLES / script).read_text())
        assert command
        assert command[1] == script
        assert command[3] in guide
