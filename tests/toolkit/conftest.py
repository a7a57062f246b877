"""Credentials, for those who sign requests and those who verify them."""

import pytest

from onnx_inference.local.credentials import LocalCredentials


@pytest.fixture(scope="session")
def credentials() -> LocalCredentials:
    return LocalCredentials("http://127.0.0.1:1", "000000000000", "us-east-1")
