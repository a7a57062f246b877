"""Recognises values that are known only at deployment, which no check at synth may judge."""

from __future__ import annotations

import math

from aws_cdk import Token


def is_unresolved(value: object) -> bool:
    """`Token.is_unresolved` for the values of arguments.

    It asks CDK only about what can be a token: NaN, infinities and lone surrogates have no JSON, and one of them would
    end the Node process that serves all constructs.
    """
    if isinstance(value, str):
        return "${Token[" in value and Token.is_unresolved(value)
    if isinstance(value, float):
        return math.isfinite(value) and Token.is_unresolved(value)
    return False
