"""The distribution as a user gets it: built from the sdist, installed outside the checkout, and used from there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from aws_cdk import Stack

from cdk_onnx_inference import InferenceFunction, ModelSource
from tests.support import synth
from tests.support.synth import ROOT

MODEL = ROOT / "examples" / "digits"

APP = """
import sys
from pathlib import Path
import aws_cdk
import cdk_onnx_inference
from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelFileSystem, ModelSource

app = aws_cdk.App(outdir=sys.argv[2])
stack = aws_cdk.Stack(app, "Shop")
service = InferenceFunction(stack, "Digits", model=ModelSource.in_image(sys.argv[1]))
InferenceApi(stack, "Api", function=service)
mounted = aws_cdk.Stack(app, "Mounted")
source = ModelSource.on_efs(sys.argv[1], file_system=ModelFileSystem(mounted, "Models"))
InferenceFunction(mounted, "Digits", model=source)
app.synth()
print(Path(cdk_onnx_inference.__file__).parent)
"""


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and a wheel made from it."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT, cwd=directory)
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel. Its dependencies are borrowed from this one, which takes no time."""
    directory = tmp_path_factory.mktemp("venv")
    venv.create(directory, symlinks=True, with_pip=False)
    python = directory / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=directory,
    )
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=directory).strip())
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_wheel_has_the_packages_and_the_runtime(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"cdk_onnx_inference", "onnx_inference"}
    runtime = {name.removeprefix("cdk_onnx_inference/_runtime/") for name in names if "/_runtime/" in name}
    assert runtime >= {
        "Dockerfile",
        ".dockerignore",
        "requirements.txt",
        "signatures.json",
        "model/README",
        "processing/requirements.txt",
    }
    handler = ROOT / "runtime"
    assert {name for name in runtime if name.startswith("onnx_handler/")} == {
        path.relative_to(handler).as_posix()
        for path in (handler / "onnx_handler").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"cdk_onnx_inference/py.typed", "onnx_inference/py.typed"} <= names
    assert [name for name in names if "__pycache__" in name or "_cache/" in name] == []


def test_wheel_has_what_the_pages_of_the_local_twin_are_made_of(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = ("pages/page.html", "pages/page.css", "pages/chart.css", "pages/colours.css")
    files += ("load/report.html", "load/load.css", "dashboard/dashboard.css")
    assert {f"onnx_inference/local/{name}" for name in files} <= names


def test_sdist_has_the_source_roots_only(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert names <= {
        "constructs",
        "toolkit",
        "runtime",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "pyproject.toml",
        "PKG-INFO",
        ".gitignore",
    }
    assert {"constructs", "toolkit", "runtime"} <= names


def test_an_installed_library_makes_the_same_image_as_the_checkout(python: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    package = run(python, "app.py", MODEL, tmp_path / "installed", cwd=tmp_path).strip()
    assert Path(package).is_relative_to(python.parent.parent)
    stack = Stack(synth.new_app(tmp_path / "checkout"), "Shop")
    InferenceFunction(stack, "Digits", model=ModelSource.in_image(MODEL))
    image = synth.image_hash(synth.template_of(stack))
    assert (tmp_path / "installed" / f"asset.{image}" / "model" / "model.onnx").is_file()
    bare = Stack(synth.new_app(tmp_path / "checkout"), "Bare")
    InferenceFunction(bare, "Digits", model=ModelSource.from_s3(MODEL))
    image = synth.image_hash(synth.template_of(bare))
    assert (tmp_path / "installed" / f"asset.{image}" / "model" / "README").is_file()


def test_an_installed_runtime_has_bytecode_which_the_image_has_not(python: Path) -> None:
    """pip compiles the handler when it installs it: the hash of the image must not see that."""
    runtime = next(python.parent.parent.rglob("_runtime"))
    assert list(runtime.rglob("*.pyc"))
