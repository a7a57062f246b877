from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jsii
import pytest
from aws_cdk import Aws, Duration, IStringProducer, Lazy, Size, Token
from hypothesis import given
from hypothesis import strategies as st

from cdk_onnx_inference import Problem, _environment, _validation

NUMBER_TOKEN = Token.as_number({"Ref": "Number"})
STRING_TOKEN = Token.as_string({"Ref": "Text"})


def codes(problems: list[Problem]) -> list[str]:
    assert all(problem.path == "at" and problem.allowed and problem.fix for problem in problems)
    return [problem.code for problem in problems]


@pytest.mark.parametrize("value", [128, 1769, 10240, 512.0, NUMBER_TOKEN])
def test_memory_size(value: Any) -> None:
    assert codes(_validation.memory_size("at", value)) == []


@pytest.mark.parametrize("value", [0, 127, 10241, 1769.5, -1, math.inf, math.nan, True, "1769", None])
def test_fails_on_a_memory_size_out_of_range(value: Any) -> None:
    assert codes(_validation.memory_size("at", value)) == ["memory-size-range"]


@pytest.mark.parametrize(
    "value", [Duration.seconds(1), Duration.minutes(15), Duration.millis(2000), Duration.seconds(NUMBER_TOKEN)]
)
def test_timeout(value: Duration) -> None:
    assert codes(_validation.timeout("at", value)) == []


@pytest.mark.parametrize("value", [Duration.seconds(0), Duration.millis(1500), Duration.seconds(901), 30, None])
def test_fails_on_a_timeout_out_of_range(value: Any) -> None:
    assert codes(_validation.timeout("at", value)) == ["timeout-range"]


@pytest.mark.parametrize(
    "value", [None, Size.mebibytes(512), Size.gibibytes(10), Size.kibibytes(524288), Size.mebibytes(NUMBER_TOKEN)]
)
def test_ephemeral_storage_size(value: Size | None) -> None:
    assert codes(_validation.ephemeral_storage_size("at", value)) == []


@pytest.mark.parametrize("value", [Size.mebibytes(511), Size.mebibytes(10241), Size.kibibytes(524289), 1024])
def test_fails_on_an_ephemeral_storage_size_out_of_range(value: Any) -> None:
    assert codes(_validation.ephemeral_storage_size("at", value)) == ["ephemeral-storage-range"]


@pytest.mark.parametrize("value", [None, 0, 1, 900, NUMBER_TOKEN])
def test_reserved_concurrent_executions(value: Any) -> None:
    assert codes(_validation.reserved_concurrent_executions("at", value)) == []


@pytest.mark.parametrize("value", [-1, 1.5, "5"])
def test_fails_on_a_reserved_concurrency_below_zero(value: Any) -> None:
    assert codes(_validation.reserved_concurrent_executions("at", value)) == ["reserved-concurrency-range"]


@pytest.mark.parametrize("value", ["digits", "0", "a" * 64, "resnet-50_v2.1", STRING_TOKEN, f"m-{Aws.REGION}"])
def test_model_name(value: str) -> None:
    assert codes(_validation.model_name("at", value)) == []


@pytest.mark.parametrize("value", ["", "-a", "a" * 65, "a/b", "a b", "modèle", "a\n"])
def test_fails_on_a_model_name_that_is_no_segment_of_a_url(value: str) -> None:
    assert codes(_validation.model_name("at", value)) == ["model-name"]


@pytest.mark.parametrize("value", ["1", "0", "20261122", STRING_TOKEN])
def test_model_version(value: str) -> None:
    assert codes(_validation.model_version("at", value)) == []


@pytest.mark.parametrize("value", ["", "01", "v1", "1.0", "-1", "1\n", "٣", 1])
def test_fails_on_a_model_version_that_is_no_number(value: Any) -> None:
    assert codes(_validation.model_version("at", value)) == ["model-version"]


@pytest.mark.parametrize("value", ["OnnxInference", "Shop/Models", "a" * 255, STRING_TOKEN])
def test_metrics_namespace(value: str) -> None:
    assert codes(_validation.metrics_namespace("at", value)) == []


@pytest.mark.parametrize("value", ["", "AWS/Lambda", "a b", "a" * 256])
def test_fails_on_a_metrics_namespace_that_cloudwatch_drops(value: str) -> None:
    assert codes(_validation.metrics_namespace("at", value)) == ["metrics-namespace"]


def test_environment() -> None:
    given_names = {"LOG_LEVEL": "INFO", "AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper", STRING_TOKEN: "x", "TZ": "UTC"}
    assert codes(_validation.environment("at", given_names)) == []


@pytest.mark.parametrize("name", sorted(_environment.NAMES | _environment.SET_BY_LAMBDA))
def test_fails_on_an_environment_variable_of_somebody_else(name: str) -> None:
    assert codes(_validation.environment("at", {name: "x"})) == ["environment-reserved"]


@pytest.mark.parametrize("name", ["", "A", "1A", "_A", "A-B", "A B", "A=B"])
def test_fails_on_an_environment_variable_that_lambda_rejects(name: str) -> None:
    assert codes(_validation.environment("at", {name: "x"})) == ["environment-name"]


def test_all_wrong_environment_variables_are_named() -> None:
    problems = _validation.environment("at", {"MODEL_PATH": "x", "A-B": "y", "AWS_REGION": "z"})
    assert [problem.got for problem in problems] == ["'MODEL_PATH'", "'A-B'", "'AWS_REGION'"]


@pytest.mark.parametrize("value", ["internal network only", STRING_TOKEN, "x" * 500])
def test_reason(value: str) -> None:
    assert codes(_validation.reason("at", value)) == []


@pytest.mark.parametrize("value", ["", " \t", "x" * 501])
def test_fails_on_a_reason_that_is_none(value: str) -> None:
    assert codes(_validation.reason("at", value)) == ["reason-missing"]


@pytest.mark.parametrize("value", [1, 0.5, NUMBER_TOKEN])
def test_positive(value: float) -> None:
    assert codes(_validation.positive("code", "at", value, whole=False, unit="u", fix="f")) == []


@pytest.mark.parametrize(("value", "whole"), [(0, False), (-1, False), (1.5, True), (math.nan, False), ("1", False)])
def test_fails_on_what_is_not_positive(value: Any, whole: bool) -> None:
    assert codes(_validation.positive("code", "at", value, whole=whole, unit="u", fix="f")) == ["code"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration.seconds(90), "1 minute 30 seconds"),
        (Duration.seconds(NUMBER_TOKEN), "a value that is known only at deployment"),
        (90, "90"),
        (None, "None"),
    ],
)
def test_duration_text(value: Any, text: str) -> None:
    assert _validation.duration_text(value) == text


@pytest.mark.parametrize("value", ["a", ("a", "b"), ("a", STRING_TOKEN)])
def test_not_empty(value: Any) -> None:
    assert codes(_validation.not_empty("code", "at", value, allowed="a", fix="f")) == []


@pytest.mark.parametrize("value", ["", " ", (), ("a", "")])
def test_fails_on_what_is_empty(value: Any) -> None:
    assert codes(_validation.not_empty("code", "at", value, allowed="a", fix="f")) == ["code"]


@jsii.implements(IStringProducer)
class Later:
    """A value that is made at synth."""

    def produce(self, context: Any) -> str:
        return "a name that is made at synth"


def test_a_lazy_value_passes_like_any_token() -> None:
    assert codes(_validation.model_name("at", Lazy.uncached_string(Later()))) == []


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@pytest.mark.parametrize(
    "check", [_validation.memory_size, _validation.timeout, _validation.reserved_concurrent_executions]
)
@given(value=anything)
def test_numbers_never_crash(check: Callable[[str, Any], list[Problem]], value: Any) -> None:
    assert all(isinstance(problem, Problem) for problem in check("at", value))


@given(value=st.text())
def test_what_passes_for_a_model_name_needs_no_escaping(value: str) -> None:
    if not _validation.model_name("at", value):
        assert quote(value, safe="") == value


@given(value=st.integers(-1000, 20000))
def test_memory_size_is_exactly_lambdas_range(value: int) -> None:
    assert (not _validation.memory_size("at", value)) == (128 <= value <= 10240)
