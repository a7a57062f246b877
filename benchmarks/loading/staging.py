"""Lays out the contenders' task roots as their images would have them."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HANDLER, WITHOUT_PREFETCH = "onnx_handler", "onnx_handler_without_prefetch"
#: The function's command, by contender.
COMMANDS = {
    HANDLER: "onnx_handler.http.handler",
    WITHOUT_PREFETCH: "onnx_handler.http.handler",
    "session": "handler.handler",
    "download_file": "handler.handler",
}


def staged(name: str, workplace: Path) -> Path:
    """Lays out a contender's task root, precompiled, and returns it."""
    root = workplace / "loading" / "roots" / name
    shutil.rmtree(root, ignore_errors=True)
    without_bytecode = shutil.ignore_patterns("__pycache__")
    if name in (HANDLER, WITHOUT_PREFETCH):
        package = root / "onnx_handler"
        shutil.copytree(REPOSITORY / "runtime" / "onnx_handler", package, ignore=without_bytecode)
        if name == WITHOUT_PREFETCH:
            _remove_prefetch(package / "http.py")
    else:
        source = Path(__file__).parent / "competitors" / name
        shutil.copytree(source, root, ignore=without_bytecode)
    compileall.compile_dir(root, quiet=2)
    return root


def _remove_prefetch(command: Path) -> None:
    """Takes out the call by which the command begins to read or download the model."""
    lines = command.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("prefetch.start(")]
    assert len(kept) == len(lines) - 1, f"{command} no longer starts the prefetch"
    command.write_text("".join(kept))
