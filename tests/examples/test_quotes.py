"""Whatever the documents quote of a file is what is in the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import synth

QUOTED = re.compile(r"<!-- ([\w./-]+) -->\n```(\w+)\n(.*?)```", re.DOTALL)
DOCUMENTS = sorted([synth.ROOT / "README.md", *(synth.ROOT / "docs").rglob("*.md")])
QUOTES = [
    pytest.param(file, text, id=f"{document.relative_to(synth.ROOT)}-{file}")
    for document in DOCUMENTS
    for file, _, text in QUOTED.findall(document.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("file", "text"), QUOTES)
def test_a_quote_is_the_file(file: str, text: str) -> None:
    assert text == (synth.ROOT / file).read_text(encoding="utf-8")


def test_documents_quote() -> None:
    assert len(QUOTES) >= 6


@pytest.mark.parametrize("document", sorted((synth.ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_python_in_the_guides_is_quoted(document: Path) -> None:
    """What is more than a fragment is a file that a test runs. Fragments are indented."""
    text = document.read_text(encoding="utf-8")
    quoted = [language for _, language, _ in QUOTED.findall(text) if language == "python"]
    assert len(re.findall(r"^```python$", text, re.MULTILINE)) == len(quoted)
