"""Findings of cdk-nag that the prebuilt stacks accept, each with its reason. There is no other place for them."""

from __future__ import annotations

from cdk_onnx_inference import InferenceApi, InferenceFunction


def acknowledge(function: InferenceFunction, api: InferenceApi) -> None:
    """Records the accepted findings on the constructs that they are about."""
