from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cdk_onnx_inference import ModelPart, ModelSource, Problem
from cdk_onnx_inference.models import _local_model, _manifest
from cdk_onnx_inference.models._manifest import Manifest
from tests.support import models

HEX = "0123456789abcdef" * 4


def read(tmp_path: Path, content: Any) -> tuple[Manifest, list[Problem]]:
    file = tmp_path / "manifest.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return _manifest.read("Shop/Digits.model.path", file)


def test_reads_what_prepare_writes(tmp_path: Path) -> None:
    manifest, problems = read(
        tmp_path,
        {
            "name": "digits",
            "digest": f"sha256:{HEX}",
            "parts": [{"path": "model.onnx", "size": 3, "sha256": HEX, "more": 1}],
            "measurements": {"before": {"anonymous_mb": 9.0}, "after": {"anonymous_mb": 1.5}},
            "session": {},
        },
    )
    assert problems == []
    assert manifest == Manifest("digits", f"sha256:{HEX}", (ModelPart("model.onnx", 3, HEX),), 1_500_000)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"measurements": None},
        {"measurements": {"after": None}},
        {"measurements": {"after": {"anonymous_mb": None}}},
    ],
)
def test_every_member_may_be_absent(tmp_path: Path, content: dict[str, Any]) -> None:
    assert read(tmp_path, content) == (Manifest(), [])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '"text"',
        {"digest": "sha256:0"},
        {"digest": 1},
        {"parts": [{"path": "model.onnx"}]},
        {"parts": [{"path": "../model.onnx", "size": 1, "sha256": HEX}]},
        {"parts": [{"path": "model.onnx", "size": -1, "sha256": HEX}]},
        {"parts": [{"path": "model.onnx", "size": True, "sha256": HEX}]},
        {"parts": [{"path": "model.onnx", "size": 1, "sha256": HEX.upper()}]},
        {"parts": 1},
        {"measurements": {"after": {"anonymous_mb": "much"}}},
        {"measurements": {"after": 1}},
    ],
)
def test_fails_on_what_is_no_manifest(tmp_path: Path, content: Any) -> None:
    (problem,) = read(tmp_path, content)[1]
    assert (problem.code, problem.path) == ("model-manifest", "Shop/Digits.model.path")


def test_fails_on_no_file(tmp_path: Path) -> None:
    (problem,) = _manifest.read("p", tmp_path / "none.json")[1]
    assert problem.code == "model-manifest"


@pytest.mark.parametrize("name", ["model.onnx", "deep/w.bin", "a b", "model.onnx_data"])
def test_is_below(name: str) -> None:
    assert _manifest.is_below(name)


@pytest.mark.parametrize("name", ["", "/m", "a//b", "a/", "./a", "../a", "a/../b", ".hidden", "a/.b", "a\0b", 1, None])
def test_is_not_below(name: object) -> None:
    assert not _manifest.is_below(name)


def package(path: Path) -> list[Problem]:
    return _local_model.collect("Shop/Digits.model", ModelSource.on_efs(path, file_system=None))[1]  # type: ignore[arg-type]


def test_a_package_is_held_to_its_manifest(tmp_path: Path) -> None:
    models.save_package(tmp_path / "digits")
    assert package(tmp_path / "digits") == []
    with (tmp_path / "digits" / "model.onnx.data").open("r+b") as weights:
        weights.write(b"\xff")
    (problem,) = package(tmp_path / "digits")
    assert problem.code == "model-digest-mismatch"


def test_the_digest_is_of_graph_and_weights_and_the_parts_are_these_and_the_manifest(tmp_path: Path) -> None:
    models.save_package(tmp_path / "digits")
    (tmp_path / "digits" / "goldens").mkdir()
    (tmp_path / "digits" / "goldens" / "one.json").write_text("{}")
    files, problems = _local_model.collect("p", ModelSource.from_s3(tmp_path / "digits"))
    assert problems == []
    assert files is not None
    assert [part.path for part in files.parts] == ["model.onnx", "model.onnx.data", "manifest.json"]
    assert files.size == sum((tmp_path / "digits" / part.path).stat().st_size for part in files.parts)
    shell = subprocess.run(
        "sha256sum model.onnx model.onnx.data | sha256sum",
        shell=True,
        cwd=tmp_path / "digits",
        capture_output=True,
        text=True,
    )
    assert files.digest == f"sha256:{shell.stdout.split()[0]}"


def test_fails_on_hidden_weights_which_only_an_image_can_hold(tmp_path: Path) -> None:
    import onnx

    onnx.save(models.matmul(), tmp_path / "m.onnx", save_as_external_data=True, location=".w", size_threshold=0)
    assert _local_model.collect("p", ModelSource.in_image(tmp_path / "m.onnx"))[1] == []
    (problem,) = _local_model.collect("p", ModelSource.from_s3(tmp_path / "m.onnx"))[1]
    assert (problem.code, problem.path) == ("model-parts", "p.path")


@pytest.mark.parametrize(("source", "fails"), [("in_image", True), ("from_s3", True), ("on_efs", False)])
def test_how_large_a_model_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, fails: bool) -> None:
    monkeypatch.setattr(_local_model, "MAX_BYTES", 100)
    path = models.save_package(tmp_path / "digits")
    made: Any = {
        "in_image": ModelSource.in_image(path),
        "from_s3": ModelSource.from_s3(path),
        "on_efs": ModelSource.on_efs(path, file_system=None),  # type: ignore[arg-type]
    }[source]
    problems = _local_model.collect("p", made)[1]
    assert [problem.code for problem in problems] == (["model-too-large"] if fails else [])
