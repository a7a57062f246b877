"""A package appears whole or not at all, and never in place of something else."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from onnx_inference.prepare.errors import Refused
from onnx_inference.prepare.model_package import is_package, new_package, read_package
from tests.support import corpus
from tests.toolkit.prepare.conftest import Prepare


def left(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_package(tmp_path / "out", force=False) as (package, scratch):
            (package / "model.onnx").write_bytes(b"half")
            (scratch / "more").write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert left(tmp_path) == set()


def test_termination_leaves_nothing(tmp_path: Path) -> None:
    def be_terminated() -> None:
        with new_package(tmp_path / "out", force=False):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        be_terminated()
    assert left(tmp_path) == set()


def test_failure_keeps_the_package_that_was_there(prepared: Prepare, tmp_path: Path) -> None:
    before = prepared(corpus.mlp()).manifest["digest"]
    with pytest.raises(Refused, match="--max-size"):
        prepared(corpus.mlp(layers=4), force=True, max_size=1000)
    assert read_package(tmp_path / "package").manifest["digest"] == before


def test_force_replaces_a_package(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.mlp(), version="1")
    with pytest.raises(Refused, match="--force") as refusal:
        prepared(corpus.mlp(), version="2")
    assert refusal.value.code == "output-exists"
    prepared(corpus.cnn(), version="2", force=True)
    manifest = read_package(tmp_path / "package").manifest
    assert (manifest["version"], manifest["inputs"][0]["name"]) == ("2", "image")
    assert left(tmp_path) == {"given", "package"}
    assert not (tmp_path / "package" / "model.onnx.data").exists()


@pytest.mark.parametrize("force", [False, True])
def test_other_directories_and_files_are_never_touched(force: bool, prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused, match="never overwritten") as refusal:
        prepared(corpus.mlp(), force=force)
    assert refusal.value.code == "output-exists"
    with pytest.raises(Refused, match="no directory"):
        prepared(corpus.mlp(), force=force, output=tmp_path / "package" / "thesis.txt")
    with pytest.raises(Refused, match=r"thesis\.txt is no directory"):
        prepared(corpus.mlp(), force=force, output=tmp_path / "package" / "thesis.txt" / "models" / "package")
    assert (tmp_path / "package" / "thesis.txt").read_text() == "years of work"


def test_an_empty_directory_is_filled(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    prepared(corpus.mlp())
    assert is_package(tmp_path / "package")


def test_parents_are_made(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.mlp(), output=tmp_path / "a" / "b")
    assert is_package(tmp_path / "a" / "b")


def test_changed_parts_are_noticed(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.mlp())
    data = tmp_path / "package" / "model.onnx.data"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    with pytest.raises(Refused) as refusal:
        read_package(tmp_path / "package")
    assert refusal.value.code == "package-digest"
    data.unlink()
    with pytest.raises(Refused, match=r"lacks model\.onnx\.data"):
        read_package(tmp_path / "package")


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"session": {"graph_optimization_level": "most"}},
        {"session": {"intra_op_num_threads": 0}},
        {"session": {"config": {"session.disable_prepacking": 1}}},
        {"parts": None},
    ],
)
def test_other_formats_are_refused(change: dict[str, object], prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.no_initializers())
    path = tmp_path / "package" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(Refused) as refusal:
        read_package(tmp_path / "package")
    assert refusal.value.code == "package-format"


def test_parts_outside_the_package_are_refused(prepared: Prepare, tmp_path: Path) -> None:
    prepared(corpus.no_initializers())
    path = tmp_path / "package" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parts"][0]["path"] = "../given/m.onnx"
    path.write_text(json.dumps(manifest))
    with pytest.raises(Refused) as refusal:
        read_package(tmp_path / "package")
    assert refusal.value.code == "package-digest"
