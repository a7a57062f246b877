"""Pytest fixtures: `pytest_plugins = ["cdk_onnx_inference.testing.plugin"]` in `conftest.py`.

def test_stack(template_snapshot, stateful_identities):
    template = Template.from_stack(MyStack(App(), "MyStack")).to_json()
    assert template == template_snapshot
    stateful_identities({"MyStack": template})
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from .normalise import Template, normalised
from .stateful_identity import check, record
from .template_diff import summary

_OPTION = "--record-stateful-ids"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that records identities."""
    parser.addoption(
        _OPTION,
        metavar="REASON",
        help="write the identities of stateful resources anew, with the reason why they may change",
    )


class TemplateExtension(JSONSnapshotExtension):
    """One normalised JSON file for each test. Above a difference it says what a deployment would do."""

    def serialize(self, data: Any, **options: Any) -> str | bytes:
        """Normalises a template, and writes it as JSON."""
        return super().serialize(normalised(data), **options)

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:
        """What deploying the new template over the committed one would do, and then the lines that differ."""
        yield from summary(json.loads(snapshot_data), json.loads(serialized_data)).splitlines()
        yield from super().diff_lines(serialized_data, snapshot_data)


@pytest.fixture
def template_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Equals templates that differ from the committed one in hashes only. `pytest --snapshot-update` updates it."""
    return snapshot.use_extension(TemplateExtension)


@pytest.fixture
def stateful_identities(request: pytest.FixtureRequest) -> Callable[[Mapping[str, Template]], None]:
    """Checks the stateful resources of stacks, by stack name, against `stateful_ids.json` beside the test's file."""
    file = Path(request.path).parent / "stateful_ids.json"
    reason = request.config.getoption(_OPTION)

    def checked(templates: Mapping[str, Template]) -> None:
        if reason is not None:
            record(templates, file, reason=reason)
        check(templates, file)

    return checked
