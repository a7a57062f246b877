"""What the tests of the local twin share: the app that it is tested with, and signed requests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from onnx_inference.local.credentials import LocalCredentials


@pytest.fixture(scope="session")
def twin_app() -> Path:
    """The directory of the app that the twin is tested with."""
    return Path(__file__).parent / "twin_app"


def signed_headers(
    credentials: LocalCredentials,
    method: str,
    url: str,
    body: bytes = b"",
    *,
    service: str = "execute-api",
    headers: dict[str, str] | None = None,
) -> dict[str, str]:
    """The headers of a request signed by botocore, as any AWS client signs it."""
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
    keys = Credentials(credentials.access_key_id, credentials.secret_access_key)
    SigV4Auth(keys, service, credentials.region).add_auth(request)
    return dict(request.headers.items())


@pytest.fixture(scope="session")
def sign() -> Callable[..., dict[str, str]]:
    return signed_headers
