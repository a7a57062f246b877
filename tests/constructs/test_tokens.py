from __future__ import annotations

import math
from typing import Any

import pytest
from aws_cdk import Aws, Token

from cdk_onnx_inference import _tokens


@pytest.mark.parametrize(
    "value", [Token.as_string({"Ref": "A"}), f"prefix-{Aws.REGION}", Token.as_number({"Ref": "A"}), Aws.REGION]
)
def test_tokens(value: Any) -> None:
    assert _tokens.is_unresolved(value)


@pytest.mark.parametrize(
    "value", ["", "a", "${AWS::Region}", "\ud800", 0, 1.5, math.nan, math.inf, -math.inf, -1e300, True, None, []]
)
def test_values_that_are_known(value: Any) -> None:
    assert not _tokens.is_unresolved(value)
