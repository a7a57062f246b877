from __future__ import annotations

from pathlib import Path

import pytest

from cdk_onnx_inference.image._runtime_assets import runtime_directory
from tests.support.synth import ROOT


def dockerfile(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "Dockerfile").touch()
    return directory


def test_of_this_checkout() -> None:
    assert runtime_directory() == ROOT / "runtime"


def test_a_wheel_has_it_in_the_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "cdk_onnx_inference"
    expected = dockerfile(package / "_runtime")
    assert runtime_directory(package) == expected


def test_a_checkout_has_it_at_the_root(tmp_path: Path) -> None:
    package = tmp_path / "constructs" / "cdk_onnx_inference"
    (package / "_runtime").mkdir(parents=True)
    expected = dockerfile(tmp_path / "runtime")
    assert runtime_directory(package) == expected


def test_fails_with_both_places_when_it_is_in_neither(tmp_path: Path) -> None:
    package = tmp_path / "constructs" / "cdk_onnx_inference"
    with pytest.raises(FileNotFoundError) as raised:
        runtime_directory(package)
    assert str(package / "_runtime") in str(raised.value)
    assert str(tmp_path / "runtime") in str(raised.value)
