"""What the tests of the toolkit share: a host without a cloud, and signed requests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from onnx_inference.local.clock import Clock
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.gateway.http_server import HttpRequest
from onnx_inference.local.lambda_host.function_configuration import AliasRouting, DeployedFunction, FunctionArn
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.host import HostLimits, LambdaHost
from onnx_inference.local.lambda_host.image_asset import ImageAsset, ImageAssets

APP = Path(__file__).parent / "twin_app"
ACCOUNT, REGION = "000000000000", "us-east-1"


@pytest.fixture(scope="session")
def twin_app() -> Path:
    """The directory of the app that the twin is tested with."""
    return APP


class Deployed:
    """Functions that are deployed nowhere, for a host to look up."""

    def __init__(self) -> None:
        self.functions: dict[str, DeployedFunction] = {}
        self.logs = FunctionLogs()

    def add(
        self, name: str, command: str, *, reserved: int | None = None, provisioned: int = 0, **settings: Any
    ) -> FunctionArn:
        """Deploy a function with an alias `live` of version 1; answers the alias's ARN."""
        arn = FunctionArn(ACCOUNT, REGION, name)
        config = {
            "FunctionName": name,
            "FunctionArn": str(arn),
            "Version": "$LATEST",
            "RevisionId": "1",
            "PackageType": "Image",
            "ImageUri": "registry/repository:handlers",
            "ImageConfigResponse": {"ImageConfig": {"Command": [command]}},
            "Timeout": 10,
            "MemorySize": 256,
            **settings,
        }
        versions = {version: {**config, "Version": version} for version in ("1", "2")}
        self.functions[name] = DeployedFunction(
            {"$LATEST": config, **versions},
            {"live": AliasRouting("1")},
            reserved,
            {"live": provisioned} if provisioned else {},
        )
        return FunctionArn(ACCOUNT, REGION, name, "live")

    def lookup(self, arn: FunctionArn) -> DeployedFunction | None:
        return self.functions.get(arn.name)


@pytest.fixture
def deployed() -> Deployed:
    return Deployed()


@pytest.fixture
def make_host(deployed: Deployed, credentials: LocalCredentials, tmp_path: Path) -> Iterator[Callable[..., LambdaHost]]:
    hosts: list[LambdaHost] = []

    def make(clock: Clock | None = None, **limits: Any) -> LambdaHost:
        images = ImageAssets(tmp_path / "cache")
        images.add(ImageAsset("handlers", APP / "image"))
        host = LambdaHost(
            lookup=deployed.lookup,
            credentials=lambda _account, _region: credentials,
            images=images,
            logs=deployed.logs,
            limits=HostLimits(**limits) if limits else None,
            clock=clock,
        )
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(make_host: Callable[..., LambdaHost]) -> LambdaHost:
    return make_host()


def http_request(
    method: str = "GET",
    target: str = "/",
    *,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: bytes = b"",
) -> HttpRequest:
    """A request as the server would hand it on."""
    path, _, query = target.partition("?")
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.append(("Host", "127.0.0.1:8080"))
    return HttpRequest(method, path, query, tuple(pairs), body, "127.0.0.1")


@pytest.fixture(scope="session")
def make_request() -> Callable[..., HttpRequest]:
    return http_request


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
