"""A Lambda host without a cloud: functions are deployed nowhere, and run in real runtime processes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onnx_inference.local.clock import Clock
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.lambda_host.function_configuration import AliasRouting, DeployedFunction, FunctionArn
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.host import HostLimits, LambdaHost
from onnx_inference.local.lambda_host.image_asset import ImageAsset, ImageAssets

ACCOUNT, REGION = "000000000000", "us-east-1"


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
def make_host(
    deployed: Deployed, credentials: LocalCredentials, twin_app: Path, tmp_path: Path
) -> Iterator[Callable[..., LambdaHost]]:
    hosts: list[LambdaHost] = []

    def make(clock: Clock | None = None, **limits: Any) -> LambdaHost:
        images = ImageAssets(tmp_path / "cache")
        images.add(ImageAsset("handlers", twin_app / "image"))
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
