"""Warm events that no schedule of the constructs sends, but anybody who may invoke the function can."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from onnx_handler.cold_start import warm
from tests.hostile.conftest import Target
from tests.runtime.conftest import CONTEXT

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(["hold_ms", "touch", "body", "requestContext", "headers"]), VALUES))
@example({"hold_ms": 10**5000})
@example({"hold_ms": 1e308})
@example({"touch": [10**5000]})
@example({"touch": "\ud800"})
def test_whatever_it_holds_is_answered(target: Target, monkeypatch: pytest.MonkeyPatch, members: Any) -> None:
    monkeypatch.setattr(warm, "LONGEST_HOLD", 1)
    answer = json.loads(json.dumps(target.handler.handle({**members, "source": "cdk-onnx-inference.warmer"}, CONTEXT)))
    assert answer["model_ready"] is True
    assert isinstance(answer["held_ms"], int)
    assert all(len(note) < 200 for note in answer.get("notes", []))
    target.must_answer()
