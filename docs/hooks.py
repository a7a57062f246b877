"""What MkDocs does to the pages, so that the same files read well in the repository and on the site.

Pages link to files of the repository that are not in `docs/`: examples, benchmarks. Each of them gets a page of its own
on the site; pictures are copied. A vertical bar in a table's code is written `\\|`, for GitHub's sake; here it is `|`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SOURCES = "repository"
"""Folder of the site with pages of files that are not in `docs/`."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE_IN_TABLE = re.compile(r"^\|.*$", re.MULTILINE)
_LANGUAGES = {".py": "python", ".json": "json", ".txt": "text"}


def on_files(files: Files, *, config: Any) -> Files:
    """Adds a page for each file or directory outside of `docs/` that a page links to, and for those they link to."""
    waiting = [DOCS / file.src_uri for file in files.documentation_pages()]
    seen: set[str] = set()
    while waiting:
        document = waiting.pop()
        for target in _outside(document):
            if _address(target) in seen:
                continue
            seen.add(_address(target))
            if target.suffix == ".svg":
                files.append(File.generated(config, _address(target), abs_src_path=str(target)))
                continue
            content = _page_of(target)
            if content is None:  # left as it is: MkDocs reports a link that leads nowhere
                continue
            files.append(File.generated(config, _address(target), content=content, inclusion=InclusionLevel.NOT_IN_NAV))
            if (readme := _readme(target)) is not None:
                waiting.append(readme)
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Sends links that leave `docs/` to the pages that `on_files` made of their targets."""
    document = _document(page.file.src_uri)
    here = PurePosixPath(page.file.src_uri).parent

    def link(match: re.Match[str]) -> str:
        target = (document.parent / match[1]).resolve()
        if target.is_relative_to(DOCS):
            page_there = min(target.glob("*.md")) if target.is_dir() else target
            address = str(page_there.relative_to(DOCS))
        elif target.exists():
            address = _address(target)
        else:
            return match[0]
        return os.path.relpath(address, here)

    if document.is_relative_to(DOCS):
        markdown = _LINK.sub(lambda match: link(match) if ".." in match[1] else match[0], markdown)
    else:
        markdown = _LINK.sub(link, markdown)
    return _CODE_IN_TABLE.sub(
        lambda row: re.sub(r"`[^`]+`", lambda code: code[0].replace("\\|", "|"), row[0]), markdown
    )


def _outside(document: Path) -> Iterator[Path]:
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        target = (document.parent / match[1]).resolve()
        if target.is_relative_to(ROOT) and not target.is_relative_to(DOCS):
            yield target


def _readme(target: Path) -> Path | None:
    readme = target / "README.md" if target.is_dir() else target
    return readme if readme.suffix == ".md" and readme.is_file() else None


def _address(target: Path) -> str:
    path = target.relative_to(ROOT).as_posix()
    if target.is_dir():
        return f"{SOURCES}/{path}/README.md"
    return f"{SOURCES}/{path}" if target.suffix in (".md", ".svg") else f"{SOURCES}/{path}.md"


def _document(src_uri: str) -> Path:
    """The file in the repository that a page is made of."""
    if src_uri.startswith(f"{SOURCES}/"):
        return ROOT / src_uri.removeprefix(f"{SOURCES}/")
    return DOCS / src_uri


def _page_of(target: Path) -> str | None:
    if (readme := _readme(target)) is not None:
        return readme.read_text(encoding="utf-8") + ("" if target.is_file() else _sources(target))
    if target.is_dir():
        return f"# {target.relative_to(ROOT).as_posix()}\n{_sources(target)}"
    if target.is_file():
        return f"# {target.name}\n\n{_quoted(target)}"
    return None


def _sources(directory: Path) -> str:
    """The directory's own text files, below its README."""
    parts = [
        f"\n## {file.name}\n\n{_quoted(file)}"
        for file in sorted(directory.iterdir())
        if file.is_file() and file.suffix in (".py", ".json", ".txt")
    ]
    return "\n".join(parts)


def _quoted(file: Path) -> str:
    text = file.read_text(encoding="utf-8").rstrip("\n")
    return f"````{_LANGUAGES.get(file.suffix, '')}\n{text}\n````\n"
