"""Session options that a model package carries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from onnx_handler.errors import ModelUnusable
from onnx_handler.models import manifest
from onnx_handler.models.session import open_session, session_options
from tests.runtime.conftest import Serve
from tests.support import models


def package(directory: Path, document: Any) -> Path:
    models.save(models.matmul(), directory)
    (directory / "manifest.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return directory


def applied(directory: Path) -> onnxruntime.SessionOptions:
    options = session_options(1769)
    manifest.read(str(directory)).apply(options)
    return options


def test_everything_is_applied(tmp_path: Path) -> None:
    session = {
        "graph_optimization_level": "basic",
        "intra_op_num_threads": 3,
        "enable_cpu_mem_arena": False,
        "enable_mem_pattern": False,
        "config": {"session.disable_prepacking": "1", "session.intra_op.allow_spinning": "1"},
    }
    options = applied(package(tmp_path, {"session": session}))
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.intra_op_num_threads == 3
    assert options.enable_cpu_mem_arena is False
    assert options.enable_mem_pattern is False
    assert options.get_session_config_entry("session.disable_prepacking") == "1"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert open_session(str(tmp_path), 1769).get_inputs()[0].name == "x"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"session": None, "name": "x"},
        {"session": {}},
        {"session": {"intra_op_num_threads": None, "config": None, "enable_mem_pattern": None, "later": [1]}},
    ],
)
def test_what_is_absent_stays_as_it_is(tmp_path: Path, document: Any) -> None:
    defaults, options = session_options(1769), applied(package(tmp_path, document))
    for name in ("graph_optimization_level", "intra_op_num_threads", "enable_cpu_mem_arena", "enable_mem_pattern"):
        assert getattr(options, name) == getattr(defaults, name)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_bare_model_has_no_manifest(tmp_path: Path) -> None:
    package(tmp_path, "not read")
    assert manifest.read(str(tmp_path / "model.onnx")) == manifest.SessionManifest()
    (tmp_path / "manifest.json").unlink()
    assert manifest.read(str(tmp_path)) == manifest.SessionManifest()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{", "cannot be read"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "cannot be read"),
        ([], "an object is expected"),
        ({"session": "fast"}, "an object is expected"),
        ({"session": {"graph_optimization_level": "most"}}, "disable, basic, extended, all"),
        ({"session": {"graph_optimization_level": ["all"]}}, "disable, basic, extended, all"),
        ({"session": {"intra_op_num_threads": 0}}, "one per vCPU"),
        ({"session": {"intra_op_num_threads": True}}, "one per vCPU"),
        ({"session": {"enable_mem_pattern": 1}}, "true, false"),
        ({"session": {"config": {"session.disable_prepacking": 1}}}, "strings"),
        ({"session": {"config": []}}, "strings"),
        ({"session": {"config": {"": "x"}}}, "refuses session.config"),
        ({"session": {"config": {"k" * 5000: "x"}}}, "refuses session.config"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, document: Any, told: str) -> None:
    with pytest.raises(ModelUnusable, match=told) as raised:
        open_session(str(package(tmp_path, document)), 1769)
    assert "manifest.json" in str(raised.value)


def test_it_is_the_cause_that_a_client_sees(serve: Serve, tmp_path: Path) -> None:
    package(tmp_path / "model", {"session": {"intra_op_num_threads": -1, "enable_mem_pattern": "no"}})
    status, body = serve(None).get("/v2/health/ready")
    assert status == 503
    assert "intra_op_num_threads is -1" in body["error"]
    assert "enable_mem_pattern is 'no'" in body["error"]
