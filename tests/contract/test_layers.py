"""The packages of the handler import each other in one direction only, wherever in a module the import stands."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.synth import ROOT

HANDLER = ROOT / "runtime" / "onnx_handler"
# A module or package imports only from the tiers before its own. Every other module here is a command.
TIERS = (
    ("errors", "aws"),
    ("model_objects",),
    ("settings",),
    ("metrics",),
    ("tensors",),
    ("storage",),
    ("models",),
    ("protocol",),
    ("cold_start", "jobs"),
)
TIER = {name: number for number, names in enumerate(TIERS) for name in names}


def modules(package: Path) -> dict[str, Path]:
    """Files by module name within the package: `errors`, `jobs.table`; `jobs` is its `__init__.py`."""
    names = {path: ".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("*.py")}
    return {name.removesuffix("__init__").removesuffix("."): path for path, name in names.items()}


def imports(package: Path) -> Iterator[tuple[str, str]]:
    """(module, imported module) of each import within the package, in functions and under TYPE_CHECKING too."""
    found = modules(package)
    for module, path in found.items():
        inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                start = [package.name, *filter(None, inside.split("."))][: None if node.level < 2 else 1 - node.level]
                source = ".".join([*(start if node.level else ()), *filter(None, [node.module])])
                names = [f"{source}.{alias.name}" for alias in node.names]
            for name in names:
                if name.split(".")[0] == package.name:
                    imported = name.partition(".")[2]
                    # `from .errors import InvalidInput` names something in a module.
                    yield module, imported if imported in found else imported.rpartition(".")[0]


def violations(package: Path) -> list[str]:
    wrong = []
    graph: dict[str, set[str]] = {}
    for module, imported in imports(package):
        graph.setdefault(module, set()).add(imported)
        of, what = module.split(".")[0], imported.split(".")[0]
        if what not in (of, "") and TIER.get(what, len(TIERS)) >= TIER.get(of, len(TIERS)):
            wrong.append(f"{module} imports {imported}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        wrong.append(f"a cycle: {', '.join(sorted(set(error.args[1])))}")
    return wrong


def test_imports_go_in_one_direction() -> None:
    assert len(list(imports(HANDLER))) > 100
    assert violations(HANDLER) == []


@pytest.mark.parametrize(
    ("module", "text", "expected"),
    [
        ("errors", "from .settings import Settings", "errors imports settings"),
        ("settings", "if TYPE_CHECKING:\n    from .storage.s3 import Reader", "settings imports storage.s3"),
        (
            "tensors.codecs",
            "def late():\n    from onnx_handler.models import model",
            "tensors.codecs imports models.model",
        ),
        ("models.model", "import onnx_handler.protocol.events", "models.model imports protocol.events"),
        ("cold_start.warm", "from onnx_handler.jobs import table", "cold_start.warm imports jobs.table"),
        ("jobs.table", "from ..queue import handler", "jobs.table imports queue"),
        ("http", "from . import job_api", "http imports job_api"),
        ("jobs.lifecycle", "from .table import JobTable", "a cycle: jobs.lifecycle, jobs.table"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, module: str, text: str, expected: str) -> None:
    package = shutil.copytree(HANDLER, tmp_path / HANDLER.name, ignore=shutil.ignore_patterns("__pycache__"))
    with modules(package)[module].open("a") as file:
        file.write(f"\n{text}\n")
    assert expected in violations(package)


def test_importing_a_package_imports_nothing_of_the_handler() -> None:
    for name, path in modules(HANDLER).items():
        if name in TIER and path.name == "__init__.py":
            (docstring,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(docstring, ast.Expr)
    assert not [imported for module, imported in imports(HANDLER) if module == ""]


def test_the_other_modules_are_commands() -> None:
    others = {name for name in modules(HANDLER) if name and "." not in name} - TIER.keys()
    for name in others:
        assert "\nhandler = " in (text := (HANDLER / f"{name}.py").read_text()) or "\ndef handler(" in text
