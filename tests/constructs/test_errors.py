from __future__ import annotations

import pytest

from cdk_onnx_inference import InvalidInferenceConfig, Problem

PROBLEM = Problem("memory-size-range", "Shop/Digits.memory_size", "64", "128 to 10240 MB", "Give more.")


def test_message_has_all_problems_with_what_where_and_how_to_fix() -> None:
    other = Problem("timeout-range", "Shop/Digits.timeout", "0", "1 to 900 s", "Give 30.")
    error = InvalidInferenceConfig([PROBLEM, other])
    assert str(error) == (
        "2 problems in the inference configuration:\n"
        "  - Shop/Digits.memory_size: got 64; allowed: 128 to 10240 MB. Give more. [memory-size-range]\n"
        "  - Shop/Digits.timeout: got 0; allowed: 1 to 900 s. Give 30. [timeout-range]"
    )
    assert error.problems == (PROBLEM, other)


def test_one_problem_is_not_many() -> None:
    assert str(InvalidInferenceConfig([PROBLEM])).startswith("1 problem in")


def test_is_a_value_error() -> None:
    assert isinstance(InvalidInferenceConfig([PROBLEM]), ValueError)


def test_fails_without_a_problem() -> None:
    with pytest.raises(ValueError, match="at least one"):
        InvalidInferenceConfig([])
