"""Candidates and what was measured of them, without measuring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from onnx_inference.prepare.bench import Candidate
from onnx_inference.prepare.session_options import DISABLE_PREPACKING, SessionOptions
from onnx_inference.prepare.session_process import SessionRun

PACKED = Candidate(Path("g"), "basic", SessionOptions(), 1)
MAPPED = replace(PACKED, session=SessionOptions(config=((DISABLE_PREPACKING, "1"),)))
FUSED = replace(PACKED, graph=Path("e"), label="extended")


def run(load: float, warm: float, anonymous: float, first: float = 0.0) -> SessionRun:
    """A run by its milliseconds and megabytes. The first call takes as long as a warm one unless told otherwise."""
    return SessionRun([], [], load / 1e3, (first or warm) / 1e3, warm / 1e3, int(anonymous * 1e6))
