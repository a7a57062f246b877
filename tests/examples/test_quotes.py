"""Whatever the documents quote of a file is what is in the file."""

from __future__ import annotations

import re

import pytest

from tests.support import synth

QUOTED = re.compile(r"<!-- ([\w./-]+) -->\n```\w+\n(.*?)```", re.DOTALL)
DOCUMENTS = sorted([synth.ROOT / "README.md", *(synth.ROOT / "docs").rglob("*.md")])
QUOTES = [
    pytest.param(file, text, id=f"{document.relative_to(synth.ROOT)}-{file}")
    for document in DOCUMENTS
    for file, text in QUOTED.findall(document.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("file", "text"), QUOTES)
def test_a_quote_is_the_file(file: str, text: str) -> None:
    assert text == (synth.ROOT / file).read_text(encoding="utf-8")


def test_documents_quote() -> None:
    assert len(QUOTES) >= 3
