"""Helpers for the tests of stacks that use this library, or of any other CDK stacks.

    template_snapshot     a pytest fixture: compares templates with committed ones, and says what a difference would do
    stateful_identities   a pytest fixture: fails when a deployment would replace or lose what holds data
    normalised            a template without what changes with every build
    changes, summary      what a deployment would do to deployed resources, in words and dollars

The fixtures come with `pytest_plugins = ["cdk_onnx_inference.testing.plugin"]` in `conftest.py`; they need the extra
`cdk-onnx-inference[testing]`. `python -m cdk_onnx_inference.testing OLD NEW` compares templates, or cloud assemblies.
"""

from .normalise import normalised
from .stateful_identity import Identity, StatefulIdentityChanged, check, identities, record
from .template_diff import Change, changes, summary

__all__ = [
    "Change",
    "Identity",
    "StatefulIdentityChanged",
    "changes",
    "check",
    "identities",
    "normalised",
    "record",
    "summary",
]
