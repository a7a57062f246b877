"""Task roots, as their images would have them."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COMPETITORS = {
    "onnx_handler": "onnx_handler.http.handler",
    "onnx_handler_alone": "onnx_handler.http.handler",
    "naive": "handler.handler",
    "download_file": "handler.handler",
}


def staged(name: str, workplace: Path) -> Path:
    """Lays out a contender's task root, precompiled. `onnx_handler_alone` is ours without what goes ahead."""
    root = workplace / "loading" / "roots" / name
    shutil.rmtree(root, ignore_errors=True)
    without_bytecode = shutil.ignore_patterns("__pycache__")
    if name.startswith("onnx_handler"):
        package = root / "onnx_handler"
        shutil.copytree(REPOSITORY / "runtime" / "onnx_handler", package, ignore=without_bytecode)
        if name != "onnx_handler":
            text = (package / "http.py").read_text()
            begins = "\nprefetch.start(os.environ)"
            assert begins in text
            (package / "http.py").write_text(text.replace(begins, "\n"))
    else:
        source = Path(__file__).parent / "competitors" / name
        shutil.copytree(source, root, ignore=without_bytecode)
    compileall.compile_dir(root, quiet=2)
    return root
