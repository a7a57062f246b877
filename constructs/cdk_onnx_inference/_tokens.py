"""Recognises tokens: values that are known only at deployment, so that no check at synth can judge them."""

from __future__ import annotations

import math
from typing import Final

from aws_cdk import Token

KNOWN_AT_DEPLOYMENT: Final = "a value that is known only at deployment"
"""How problems describe a token where synth needs the value itself."""


def is_unresolved(value: object) -> bool:
    """`Token.is_unresolved` for the values of arguments.

    It asks CDK only about values that can be tokens. NaN, infinities and lone surrogates cannot be written as JSON:
    sending one of them would end the Node process that serves all constructs.
    """
    if isinstance(value, str):
        return "${Token[" in value and Token.is_unresolved(value)
    if isinstance(value, float):
        return math.isfinite(value) and Token.is_unresolved(value)
    return False
