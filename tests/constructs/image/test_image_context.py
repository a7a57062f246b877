"""What is in the image context, and what its hash depends on: contents and names, nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_lambda as lambda_

from cdk_onnx_inference import InferenceFunction, ModelSource, Processing
from cdk_onnx_inference.image import _image_context, _runtime_assets
from tests.support import models, synth

PREPROCESS = "def preprocess(request):\n    return request.inputs\n"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the runtime, to be spoilt."""
    copy = tmp_path / "runtime"
    shutil.copytree(synth.ROOT / "runtime", copy, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    monkeypatch.setattr(_runtime_assets, "runtime_directory", lambda: copy)
    return copy


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A model package directory."""
    directory = models.save(models.matmul(), tmp_path / "digits")
    (directory / "manifest.json").write_text("{}")
    (directory / "goldens").mkdir()
    (directory / "goldens" / "one.json").write_text("{}")
    return directory


@pytest.fixture
def processing(tmp_path: Path) -> Processing:
    """A processing file with requirements."""
    (tmp_path / "words.py").write_text(PREPROCESS)
    (tmp_path / "words.txt").write_text("tokenizers\n")
    return Processing(tmp_path / "words.py", tmp_path / "words.txt")


@pytest.fixture
def outdirs(tmp_path: Path) -> Iterator[Path]:
    """A new cloud assembly for each synth."""
    return (tmp_path / f"cdk.out.{number}" for number in range(100))


def function(outdir: Path, package: Path, processing: Processing | None = None, **options: Any) -> Stack:
    stack = Stack(synth.new_app(outdir), "Shop")
    InferenceFunction(stack, "Digits", model=ModelSource.in_image(package), processing=processing, **options)
    return stack


def hash_of(stack: Stack) -> str:
    return synth.image_hash(synth.template_of(stack))


def names(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}


def test_has_the_runtime_the_model_and_the_processing(
    outdirs: Iterator[Path], package: Path, processing: Processing
) -> None:
    staged = synth.staged(function(next(outdirs), package, processing))
    handler = synth.ROOT / "runtime" / "onnx_handler"
    assert names(staged) == {
        "Dockerfile",
        ".dockerignore",
        "requirements.txt",
        "signatures.json",
        "model/model.onnx",
        "model/manifest.json",
        "model/goldens/one.json",
        "processing/words.py",
        "processing/requirements.txt",
        *(f"onnx_handler/{path.relative_to(handler).as_posix()}" for path in handler.rglob("*.py")),
        "onnx_handler/py.typed",
    }
    assert (staged / "processing" / "requirements.txt").read_text() == "tokenizers\n"
    assert (staged / "model" / "model.onnx").read_bytes() == (package / "model.onnx").read_bytes()


def test_has_empty_requirements_without_processing(outdirs: Iterator[Path], package: Path) -> None:
    staged = synth.staged(function(next(outdirs), package))
    assert names(staged / "processing") == {"requirements.txt"}


def test_has_files_not_links(outdirs: Iterator[Path], package: Path, processing: Processing) -> None:
    staged = synth.staged(function(next(outdirs), package, processing))
    assert not [path for path in staged.rglob("*") if path.is_symlink()]


def test_leaves_no_links_behind(outdirs: Iterator[Path], package: Path) -> None:
    outdir = next(outdirs)
    synth.template_of(function(outdir, package))
    assert not list(outdir.glob(".image-context*"))


def test_leaves_no_links_behind_when_cdk_fails(
    outdirs: Iterator[Path], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of CDK")

    outdir = next(outdirs)
    monkeypatch.setattr(lambda_, "DockerImageFunction", fail)
    with pytest.raises(RuntimeError, match="of CDK"):
        function(outdir, package)
    assert not list(outdir.glob(".image-context*"))


def test_keeps_the_links_when_cdk_does_not_stage(outdirs: Iterator[Path], package: Path) -> None:
    outdir = next(outdirs)
    stack = Stack(synth.new_app(outdir, {"aws:cdk:disable-asset-staging": True}), "Shop")
    InferenceFunction(stack, "Digits", model=ModelSource.in_image(package))
    synth.template_of(stack)
    (links,) = outdir.glob(".image-context*")
    assert (links / "model" / "model.onnx").resolve() == package / "model.onnx"


def test_hash_does_not_depend_on_where_things_are(
    outdirs: Iterator[Path], package: Path, processing: Processing, tmp_path: Path, runtime: Path
) -> None:
    first = hash_of(function(next(outdirs), package, processing))
    other = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(package, other / "another-name")
    shutil.copy(tmp_path / "words.py", other)
    moved = runtime.rename(tmp_path / "moved")
    runtime.symlink_to(moved)
    stack = Stack(synth.new_app(next(outdirs)), "AnotherStack")
    InferenceFunction(
        stack,
        "AnotherId",
        model=ModelSource.in_image(other / "another-name", name=package.name),
        processing=Processing(other / "words.py", tmp_path / "words.txt"),
    )
    assert hash_of(stack) == first


@pytest.mark.usefixtures("runtime")
def test_hash_does_not_depend_on_times_and_modes(
    outdirs: Iterator[Path], package: Path, processing: Processing, runtime: Path, tmp_path: Path
) -> None:
    first = hash_of(function(next(outdirs), package, processing))
    for path in [*runtime.rglob("*"), *package.rglob("*"), tmp_path / "words.py"]:
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    mask = os.umask(0o077)
    try:
        assert hash_of(function(next(outdirs), package, processing)) == first
    finally:
        os.umask(mask)


def test_hash_does_not_depend_on_bytecode_and_debris(
    outdirs: Iterator[Path], package: Path, processing: Processing, runtime: Path, tmp_path: Path
) -> None:
    first = hash_of(function(next(outdirs), package, processing))
    for name in (
        "runtime/onnx_handler/__pycache__/http.cpython-313.pyc",
        "runtime/onnx_handler/http.pyc",
        "runtime/onnx_handler/.mypy_cache/x.json",
        "runtime/__pycache__/x.pyc",
        "runtime/.DS_Store",
        "runtime/requirements.in",
        "digits/__pycache__/train.cpython-313.pyc",
        "digits/train.py",
        "digits/goldens/.DS_Store",
        "__pycache__/words.cpython-313.pyc",
        "words_test.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("debris")
    assert hash_of(function(next(outdirs), package, processing)) == first


@pytest.mark.parametrize(
    "name",
    [
        "runtime/Dockerfile",
        "runtime/requirements.txt",
        "runtime/onnx_handler/http.py",
        "digits/manifest.json",
        "digits/goldens/one.json",
        "words.py",
        "words.txt",
    ],
)
@pytest.mark.usefixtures("runtime")
def test_hash_depends_on_each_file(
    outdirs: Iterator[Path], package: Path, processing: Processing, tmp_path: Path, name: str
) -> None:
    first = hash_of(function(next(outdirs), package, processing))
    with (tmp_path / name).open("a") as file:
        file.write(" \n")  # valid in each of them
    assert hash_of(function(next(outdirs), package, processing)) != first


def test_hash_depends_on_every_byte_of_the_weights(outdirs: Iterator[Path], tmp_path: Path) -> None:
    """CDK hashes a file that begins without zero bytes as text, in which all bytes that are no UTF-8 are the same."""
    onnx.save(
        models.matmul(), tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    weights = tmp_path / "weights.bin"
    hashes = set()
    for byte in (b"\x80", b"\x81"):
        weights.write_bytes(byte * weights.stat().st_size)
        hashes.add(hash_of(function(next(outdirs), tmp_path / "model.onnx")))
    assert len(hashes) == 2


def test_hash_depends_on_the_platform_which_is_that_of_the_function(outdirs: Iterator[Path], package: Path) -> None:
    hashes = set()
    for architecture, platform in (
        (lambda_.Architecture.X86_64, "linux/amd64"),
        (lambda_.Architecture.ARM_64, "linux/arm64"),
    ):
        stack = function(next(outdirs), package, architecture=architecture)
        template = synth.template_of(stack)
        app = stack.node.root
        assert isinstance(app, App)
        assert f'"platform": "{platform}"' in (Path(app.outdir) / "Shop.assets.json").read_text()
        assert synth.only(template, "AWS::Lambda::Function")["Architectures"] == [architecture.name]
        hashes.add(synth.image_hash(template))
    assert len(hashes) == 2


def test_a_file_that_changes_between_two_apps_of_one_process_is_staged_anew(
    outdirs: Iterator[Path], package: Path, processing: Processing, tmp_path: Path
) -> None:
    outdir = next(outdirs)
    first = hash_of(function(outdir, package, processing))
    (tmp_path / "words.py").write_text(PREPROCESS + "# changed\n")
    assert hash_of(function(outdir, package, processing)) != first


def test_fails_when_two_files_would_have_one_place(package: Path) -> None:
    _, problems = _image_context.compose(
        "Shop/Digits",
        {"model.onnx": package / "model.onnx", "Model.onnx": package / "manifest.json"},
        {"words.py": package / "manifest.json"},
    )
    assert [(problem.code, problem.path) for problem in problems] == [("image-file-collision", "Shop/Digits.model")]


def test_a_machine_without_links_gets_copies(
    outdirs: Iterator[Path], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = hash_of(function(next(outdirs), package))

    def refuse(*_: object) -> None:
        raise OSError("a privilege is missing")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert hash_of(function(next(outdirs), package)) == linked
