"""Replays what fuzzing found: see fuzz/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS, still_good

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(CORPUS.glob("*/*"))


pytestmark = pytest.mark.usefixtures("lambda_log")


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_was_found_before(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


def test_every_target_has_a_corpus_and_the_models_still_answer() -> None:
    assert {file.parent.name for file in INPUTS} == TARGETS.keys()
    still_good()


@pytest.mark.parametrize("target", TARGETS)
def test_any_bytes_are_an_input(target: str) -> None:
    for number in range(300):
        TARGETS[target](bytes((number * 7919 * (place + 1) >> 3) & 255 for place in range(number)))
