"""Says what deploying one template, or cloud assembly, over another would do.

    python -m cdk_onnx_inference.testing cdk.out.main cdk.out

Exit status: 0; 1 when something that holds data would be replaced, deleted or left behind; 2 for bad arguments.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .normalise import Template
from .template_diff import Concern, changes, told


def main(arguments: list[str]) -> int:
    """Compares what the two arguments name, stack by stack."""
    if len(arguments) != 2:
        print("usage: python -m cdk_onnx_inference.testing OLD NEW (templates, or cloud assemblies)", file=sys.stderr)
        return 2
    try:
        before, after = (_templates(Path(argument)) for argument in arguments)
    except (OSError, ValueError) as error:
        print(f"{error}; OLD and NEW are a template in JSON, or a directory that `cdk synth` wrote", file=sys.stderr)
        return 2
    if len(before) == len(after) == 1:  # two files, whatever their names
        before, after = ({"": template} for found in (before, after) for template in found.values())
    empty: Template = {"Resources": {}}
    endangered = False
    for stack in sorted(before.keys() | after.keys()):
        old, new = before.get(stack, empty), after.get(stack, empty)
        found = changes(old, new)
        endangered |= any(change.concern is Concern.DATA for change in found)
        print("\n".join(filter(None, [stack, told(found) or "no change"])))
    return 1 if endangered else 0


def _templates(path: Path) -> dict[str, Template]:
    files = sorted(path.rglob("*.template.json")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} has no *.template.json")
    return {file.name.removesuffix(".template.json"): json.loads(file.read_text(encoding="utf-8")) for file in files}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
