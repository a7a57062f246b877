"""The prebuilt stacks that have a picture, and their templates as the app makes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .drawing import svg
from .graph import read

ROOT: Final = Path(__file__).resolve().parents[2]
DIRECTORY: Final = ROOT / "docs" / "pictures"

PICTURES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "realtime": ("Realtime", {}),
    "large-model-efs": ("LargeModel", {"source": "efs"}),
    "large-model-s3": ("LargeModel", {"source": "s3"}),
    "large-model-s3-files": ("LargeModel", {"source": "s3-files"}),
    "async-jobs": ("AsyncJobs", {"stack": "async-jobs"}),
}
"""Name of the picture: the stack, and what follows `-c`."""


def template(stack: str, context: Mapping[str, str]) -> dict[str, Any]:
    """The stack's template, by the app itself, in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
        environment = {
            **os.environ,
            "CDK_OUTDIR": directory,
            "CDK_CONTEXT_JSON": json.dumps({**flags, **context}),
            "CDK_VALIDATION": "false",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "constructs")]),
        }
        subprocess.run([sys.executable, ROOT / "app.py"], check=True, cwd=directory, env=environment)
        made: dict[str, Any] = json.loads((Path(directory) / f"{stack}.template.json").read_text(encoding="utf-8"))
        return made


def picture(name: str) -> str:
    """The SVG of that name, as the current template has it."""
    stack, context = PICTURES[name]
    options = "".join(f" -c {key}={value}" for key, value in context.items())
    return svg(read(template(stack, context)), title=f"The prebuilt stack {stack}{options}")
