"""Requests to APIs, and a function behind them that is not there."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult

ACCOUNT, REGION = "000000000000", "us-east-1"
FUNCTION = FunctionArn(ACCOUNT, REGION, "f", "live")
RECORD = InvocationRecord(
    "r", str(FUNCTION), "f", "1", datetime.now(UTC), False, None, 1.0, 0.0, 128, 20, "success", None, ""
)


class Function:
    """Records the events it is invoked with, and answers what it is told to."""

    def __init__(self):
        self.events = []
        self.answer = {"statusCode": 200, "body": "ok"}
        self.error = None
        self.seconds = 0

    def __call__(self, arn, payload):
        self.events.append(json.loads(payload))
        time.sleep(self.seconds)
        if isinstance(self.error, Exception):
            raise self.error
        return InvocationResult(json.dumps(self.answer).encode(), self.error, RECORD)


@pytest.fixture
def function():
    return Function()


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


def message(response: HttpResponse) -> tuple[int, Any]:
    """The status and the JSON body."""
    return response.status, json.loads(response.body)
