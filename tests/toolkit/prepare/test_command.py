"""The command as a user calls it: real processes, exit statuses, words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from onnx_inference import extras
from onnx_inference.cli import main
from tests.support import corpus


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


def test_a_model_becomes_a_package(tmp_path: Path) -> None:
    """The whole, with sessions in processes of their own."""
    path = corpus.save(corpus.mlp(), tmp_path / "scorer.onnx")
    result = call(path, "-o", tmp_path / "package", "--for", "cold-start", "--rounds", "1", "--model-version", "3")
    assert result.exit_code == 0, result.output
    for word in ("before", "after", "load", "first call", "warm call", "agreement", "100.00%"):
        assert word in result.stdout
    assert "model 'scorer' version 3, sha256:" in result.stdout
    assert "Measuring graphs, levels, prepacking" in result.stderr
    manifest = json.loads((tmp_path / "package" / "manifest.json").read_text())
    assert manifest["objective"] == "cold-start"
    assert {candidate["graph"] for candidate in manifest["measurements"]["candidates"]} == {
        "as given",
        "basic",
        "extended",
    }
    assert all(candidate["load_ms"] > 0 for candidate in manifest["measurements"]["candidates"])
    if sys.platform == "linux":
        assert manifest["measurements"]["before"]["anonymous_mb"] > 0


@pytest.mark.usefixtures("in_process")
def test_two_packages_side_by_side(tmp_path: Path) -> None:
    path = corpus.save(corpus.mlp(), tmp_path / "m.onnx")
    first, second = tmp_path / "fp32", tmp_path / "int8"
    assert call(path, "-o", first, "--rounds", "1").exit_code == 0
    quantised = call(path, "-o", second, "--rounds", "1", "--quantize", "int8", "--min-agreement", "0.5")
    assert quantised.exit_code == 0
    result = call("--compare", first, second, "--rounds", "1")
    assert result.exit_code == 0, result.output
    assert "warm call" in result.stdout
    assert "agreement" in result.stdout
    result = call("--compare", first, second, "--rounds", "1", "--min-agreement", "1")
    assert (result.exit_code, "Error (parity)" in result.stderr) == (1, True)
    corpus.save(corpus.cnn(), tmp_path / "other.onnx")
    assert call(tmp_path / "other.onnx", "-o", tmp_path / "other", "--rounds", "1").exit_code == 0
    assert "different inputs" in call("--compare", first, tmp_path / "other").stderr
    assert "no model package" in call("--compare", first, tmp_path).stderr


def test_refusal_is_status_1_and_says_what_mends_it(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x0a")
    result = call(tmp_path / "m.onnx", "-o", tmp_path / "package")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2].startswith("Error (model-not-onnx): ")
    assert result.stderr.splitlines()[-1].startswith("Fetch the file again")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["MODEL"],
        ["MODEL", "-o", "out", "--calibration", "FILE"],
        ["MODEL", "-o", "out", "--fp16", "--quantize", "int8"],
        ["MODEL", "-o", "out", "--goldens", "FILE", "--dim", "n=3"],
        ["MODEL", "-o", "out", "--dim", "n"],
        ["MODEL", "-o", "out", "--dim", "n=0"],
        ["MODEL", "-o", "out", "--max-size", "large"],
        ["MODEL", "-o", "out", "--name", "no spaces"],
        ["MODEL", "-o", "out", "--model-version", "v1"],
        ["MODEL", "-o", "out", "--for", "money"],
        ["MODEL", "-o", "out", "--min-agreement", "2"],
        ["MODEL", "--compare", ".", "."],
        ["--compare", ".", ".", "--force"],
        ["none.onnx", "-o", "out"],
    ],
)
def test_usage_is_status_2(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpus.save(corpus.no_initializers(), tmp_path / "MODEL")
    (tmp_path / "FILE").write_bytes(b"")
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("text", "size"), [("10", 10), ("1.5MB", 1_500_000), ("2 GiB", 2 * 1024**3), ("250mb", 250e6)])
@pytest.mark.usefixtures("in_process")
def test_sizes(text: str, size: float, tmp_path: Path) -> None:
    corpus.save(corpus.cnn(), tmp_path / "m.onnx")
    result = call(tmp_path / "m.onnx", "-o", tmp_path / "package", "--rounds", "1", "--max-size", text)
    assert result.exit_code == (1 if size < 40_000 else 0)


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, extra: str) -> None:
        raise extras.MissingExtra(module, extra)

    monkeypatch.setattr("onnx_inference.prepare.command.import_from_extra", missing)
    corpus.save(corpus.no_initializers(), tmp_path / "m.onnx")
    result = call(tmp_path / "m.onnx", "-o", tmp_path / "package")
    assert result.exit_code == 1
    assert "pip install 'cdk-onnx-inference[prepare]'" in result.output
