"""Checks a user's processing file and its requirements, without running or installing them."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdk_onnx_inference._tokens import KNOWN_AT_DEPLOYMENT, is_unresolved
from cdk_onnx_inference.errors import Problem

from .processing import Processing

_HOOKS: Final = ("preprocess", "postprocess")
"""The functions that the handler looks for."""

PYTHON: Final = (3, 13)
"""Python of the image's base, for which the file is written."""

_REQUIREMENTS = "requirements.txt"

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.py")
_LOCAL_OPTION = re.compile(
    r"(-[ecrfi]|--(editable|constraint|requirement|find-links|index-url|extra-index-url|no-index|trusted-host)\b)"
)
_LOCAL_PATH = re.compile(r"(\.{0,2}/|\.{1,2}$|~|file:|[A-Za-z]:[\\/])|.*@\s*file:|(?!.*://).*\.(whl|zip|tar\.\w+|tgz)$")


@dataclass(frozen=True, slots=True)
class ProcessingFiles:
    """A processing file that can go into the image.

    Attributes:
        module: Name of the user's file in the image's `processing/` directory.
        files: What goes into that directory: name -> file on this machine.
        unparsed: Why the Python that synthesises could not parse the file, or None.
    """

    module: str
    files: Mapping[str, Path]
    unparsed: str | None = None


def collect(path: str, processing: Processing) -> tuple[ProcessingFiles | None, list[Problem]]:
    """Reads the files.

    Args:
        path: Prefix of the problems' paths: the argument that holds the processing.
        processing: What the user gave.

    Returns:
        The files, or None and at least one problem.
    """
    file, problems = _existing(f"{path}.file", processing.file)
    unparsed = None
    if file is not None:
        if not _FILE_NAME.fullmatch(file.name):
            problems.append(
                Problem(
                    "processing-name",
                    f"{path}.file",
                    repr(file.name),
                    "a name ending in .py, of letters, digits, '_', '.' and '-'",
                    "Rename the file.",
                )
            )
        else:
            unparsed, found = _hooks(f"{path}.file", file)
            problems += found
    requirements = None
    if processing.requirements is not None:
        requirements, found = _existing(f"{path}.requirements", processing.requirements)
        problems += found
        if requirements is not None:
            problems += _requirements(f"{path}.requirements", requirements)
    if problems or file is None:
        return None, problems
    files = {file.name: file}
    if requirements is not None:
        files[_REQUIREMENTS] = requirements
    return ProcessingFiles(file.name, files, unparsed), []


def _existing(path: str, value: str | os.PathLike[str]) -> tuple[Path | None, list[Problem]]:
    text = os.fspath(value)
    unresolved = is_unresolved(text)
    if not unresolved and Path(text).is_file():
        return Path(text).absolute(), []
    return None, [
        Problem(
            "processing-missing",
            path,
            KNOWN_AT_DEPLOYMENT if unresolved else f"{text!r}, which is no file",
            "a file on this machine",
            "Check the path. A relative one is relative to the current directory.",
        )
    ]


def _hooks(path: str, file: Path) -> tuple[str | None, list[Problem]]:
    """Parses the file. Syntax that this Python does not know is no problem if the image has a newer Python."""
    try:
        tree = ast.parse(importlib.util.decode_source(file.read_bytes()), filename=file.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if sys.version_info < PYTHON and isinstance(error, SyntaxError):
            return f"{error}", []
        return None, [
            Problem(
                "processing-syntax",
                path,
                f"{file.name}: {error}",
                f"Python {PYTHON[0]}.{PYTHON[1]}, UTF-8",
                "Correct the file.",
            )
        ]
    names = dict(_module_names(tree.body))
    hooks = [hook for hook in _HOOKS if hook in names or "*" in names]
    coroutines = [hook for hook in hooks if isinstance(names.get(hook), ast.AsyncFunctionDef)]
    if hooks and not coroutines:
        return None, []
    return None, [
        Problem(
            "processing-functions",
            path,
            f"async def {coroutines[0]}" if coroutines else f"{file.name} with neither of them",
            "a function preprocess(request), a function postprocess(outputs), or both; not async",
            "Define at least one of them at the top level of the file.",
        )
    ]


def _module_names(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that the statements bind in the module, in whatever way; `*` for a star import."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, statement
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name, statement
        for expression in ast.iter_child_nodes(statement):
            if isinstance(expression, ast.expr):
                for node in ast.walk(expression):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        yield node.id, statement
        for block in ("body", "orelse", "finalbody"):
            yield from _module_names(getattr(statement, block, []))
        for handler in getattr(statement, "handlers", []):
            yield from _module_names(handler.body)


def _requirements(path: str, file: Path) -> list[Problem]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return [Problem("processing-requirements", path, f"{file.name}: {error}", "UTF-8", "Save the file as UTF-8.")]
    problems = []
    for line in text.replace("\\\n", " ").splitlines():
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if _LOCAL_OPTION.match(entry) or _LOCAL_PATH.match(entry):
            problems.append(
                Problem(
                    "processing-requirements",
                    path,
                    repr(entry),
                    "names of packages with versions, hashes and markers, or https URLs",
                    "The file is installed inside the image, which has neither this machine's files nor its pip "
                    "settings: name the package itself.",
                )
            )
    return problems
