"""Brings the fixtures."""

pytest_plugins = ["cdk_onnx_inference.testing.plugin"]
