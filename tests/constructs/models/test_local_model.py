from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from aws_cdk import Token

from cdk_onnx_inference import ModelSource, Problem
from cdk_onnx_inference.models import _local_model
from cdk_onnx_inference.models._onnxruntime_limits import MAX_IR_VERSION, MAX_OPSETS
from cdk_onnx_inference.models._served_model import ServedModel
from tests.support import models


def with_external_data(directory: Path, location: str = "model.onnx.data", name: str = "model.onnx") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    onnx.save(models.matmul(), path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def with_location(path: Path, location: str) -> Path:
    """Points an external model somewhere else, which the onnx package would not save."""
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


def collect(path: Path | str, name: str | None = None) -> ServedModel:
    files, problems = _local_model.collect("Shop/Digits.model", ModelSource.in_image(path, name=name))
    assert problems == []
    assert files is not None
    return files


def problem(path: Path | str) -> Problem:
    files, problems = _local_model.collect("Shop/Digits.model", ModelSource.in_image(path))
    assert files is None
    (found,) = problems
    assert found.path == "Shop/Digits.model.path"
    return found


def test_a_bare_file_goes_in_alone_under_the_one_name(tmp_path: Path) -> None:
    models.save(models.matmul(), tmp_path)
    (tmp_path / "model.onnx").rename(tmp_path / "resnet.onnx")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "goldens").mkdir()
    (tmp_path / "goldens" / "one.json").write_text("{}")
    assert collect(tmp_path / "resnet.onnx").files == {"model.onnx": tmp_path / "resnet.onnx"}


def test_a_bare_file_brings_its_weights(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    path = with_external_data(tmp_path, location="deep/w.bin", name="m.onnx")
    assert sorted(collect(path).files) == ["deep/w.bin", "model.onnx"]


def test_a_package_directory_brings_what_a_package_has_and_no_more(tmp_path: Path) -> None:
    with_external_data(tmp_path)
    for name in ("manifest.json", "goldens/a.json", "goldens/deep/b.npy", "goldens/.hidden", "train.py", ".DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert sorted(collect(tmp_path).files) == [
        "goldens/a.json",
        "goldens/deep/b.npy",
        "manifest.json",
        "model.onnx",
        "model.onnx.data",
    ]


def test_files_may_be_links_as_in_a_hub_cache(tmp_path: Path) -> None:
    blobs = with_external_data(tmp_path / "blobs", location="model.onnx_data").parent
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert sorted(collect(snapshot / "model.onnx").files) == ["model.onnx", "model.onnx_data"]
    (blobs / "model.onnx_data").rename(blobs / "4d7a")
    (snapshot / "model.onnx_data").unlink()
    (snapshot / "model.onnx_data").symlink_to(blobs / "4d7a")
    assert sorted(collect(snapshot / "model.onnx").files) == ["model.onnx", "model.onnx_data"]


def test_a_relative_path_is_relative_to_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.save(models.matmul(), tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert collect("digits").files == {"model.onnx": tmp_path / "digits" / "model.onnx"}


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("digits", None, "digits"),
        ("digits/", None, "digits"),
        ("digits/model.onnx", None, "digits"),
        ("digits/resnet-50.onnx", None, "resnet-50"),
        ("digits", "other", "other"),
    ],
)
def test_name(tmp_path: Path, path: str, name: str | None, expected: str) -> None:
    models.save(models.matmul(), tmp_path / "digits")
    (tmp_path / "digits" / "resnet-50.onnx").symlink_to("model.onnx")
    assert collect(f"{tmp_path}/{path}", name).name == expected


def test_weights_in_the_graph_are_counted(tmp_path: Path) -> None:
    assert collect(models.save(models.matmul(), tmp_path / "a")).weights_in_graph == 48
    assert collect(with_external_data(tmp_path / "b")).weights_in_graph == 0


def test_digest_is_what_a_shell_makes_of_it(tmp_path: Path) -> None:
    with_external_data(tmp_path)
    shell = subprocess.run(
        "sha256sum model.onnx model.onnx.data | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert collect(tmp_path).digest == f"sha256:{shell.stdout.split()[0]}"


def test_digest_is_of_names_in_the_image_and_contents_alone(tmp_path: Path) -> None:
    models.save(models.matmul(), tmp_path)
    digest = collect(tmp_path).digest
    os.utime(tmp_path / "model.onnx", (0, 0))
    (tmp_path / "model.onnx").chmod(0o600)
    (tmp_path / "manifest.json").write_text("{}")
    assert collect(tmp_path).digest == digest
    (tmp_path / "model.onnx").rename(tmp_path / "other.onnx")
    assert collect(tmp_path / "other.onnx").digest == digest


def test_digest_changes_with_the_weights(tmp_path: Path) -> None:
    with_external_data(tmp_path)
    before = collect(tmp_path).digest
    weights = bytearray((tmp_path / "model.onnx.data").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.onnx.data").write_bytes(weights)
    assert collect(tmp_path).digest != before


def test_fails_without_a_file(tmp_path: Path) -> None:
    assert problem(tmp_path / "model.onnx").code == "model-missing"


def test_fails_on_a_directory_without_a_graph(tmp_path: Path) -> None:
    found = problem(tmp_path)
    assert found.code == "model-missing"
    assert str(tmp_path / "model.onnx") in found.got


def test_fails_on_a_path_that_is_a_token() -> None:
    assert problem(Token.as_string({"Ref": "Path"})).code == "model-missing"


def test_fails_on_another_format(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"PK\x03\x04")
    assert problem(tmp_path).code == "model-not-onnx"


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_fails_on_a_git_lfs_pointer(tmp_path: Path, name: str) -> None:
    with_external_data(tmp_path)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n")
    found = problem(tmp_path)
    assert found.code == "model-git-lfs-pointer"
    assert "git lfs pull" in found.fix


def test_fails_without_the_weights(tmp_path: Path) -> None:
    with_external_data(tmp_path)
    (tmp_path / "model.onnx.data").unlink()
    found = problem(tmp_path)
    assert found.code == "model-weights-missing"
    assert "model.onnx.data" in found.got


def test_fails_on_weights_that_end_too_soon(tmp_path: Path) -> None:
    with_external_data(tmp_path)
    (tmp_path / "model.onnx.data").write_bytes(b"\0")
    assert problem(tmp_path).code == "model-weights-cut-off"


@pytest.mark.parametrize("location", ["", "/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "w\0.bin"])
def test_fails_on_weights_outside_the_directory(tmp_path: Path, location: str) -> None:
    path = with_location(with_external_data(tmp_path / "m"), location)
    (tmp_path / "w.bin").write_bytes(bytes(1000))
    assert problem(path).code == "model-weights-outside"


def test_fails_on_weights_whose_name_the_graph_takes(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, location="model.onnx", name="graph.onnx")
    assert problem(path).code == "model-file-collision"


def test_fails_on_a_newer_ir_version(tmp_path: Path) -> None:
    model = models.matmul()
    model.ir_version = MAX_IR_VERSION + 1
    found = problem(models.save(model, tmp_path))
    assert found.code == "model-ir-version"
    assert f"ir_version = {MAX_IR_VERSION}" in found.fix


@pytest.mark.parametrize("domain", sorted(MAX_OPSETS))
def test_fails_on_a_newer_operator_set(tmp_path: Path, domain: str) -> None:
    model = models.matmul()
    model.opset_import.append(onnx.helper.make_opsetid(domain, MAX_OPSETS[domain] + 1))
    assert problem(models.save(model, tmp_path)).code == "model-opset"


def test_an_unknown_domain_is_the_users_own_business(tmp_path: Path) -> None:
    model = models.matmul()
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 99))
    collect(models.save(model, tmp_path))


def test_fails_on_a_model_larger_than_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_local_model, "MAX_BYTES", 100)
    assert problem(models.save(models.matmul(), tmp_path)).code == "model-too-large"


def test_all_problems_of_a_model_come_together(tmp_path: Path) -> None:
    model = models.matmul()
    model.ir_version = MAX_IR_VERSION + 1
    model.opset_import[0].version = MAX_OPSETS[""] + 1
    for name in ("a", "b"):
        tensor = onnx.numpy_helper.from_array(np.zeros(2, np.float32), name)
        model.graph.initializer.append(tensor)
        onnx.external_data_helper.set_external_data(tensor, location=f"{name}.bin")
        model.graph.initializer[-1].CopyFrom(tensor)
        model.graph.initializer[-1].ClearField("raw_data")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    _, problems = _local_model.collect("m", ModelSource.in_image(tmp_path))
    assert [found.code for found in problems] == [
        "model-weights-missing",
        "model-weights-missing",
        "model-ir-version",
        "model-opset",
    ]
