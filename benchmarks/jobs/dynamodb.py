"""A DynamoDB in this process: it answers boto3's requests after the latency of the real one.

boto3 serialises, signs and parses as always; only the network and TLS are left out. Conditions are not evaluated,
because every job of the benchmark is new: each change is answered as written.
"""

from __future__ import annotations

import io
import json
from time import sleep
from typing import Any

from botocore.awsrequest import AWSResponse

from onnx_handler.aws import Clients

# Seconds of a write, as AWS publishes for DynamoDB: "single-digit milliseconds".
LATENCY = 0.005


class LoopbackClients(Clients):
    """Clients that reach no network.

    Attributes:
        writes: How many items were written.
    """

    def __init__(self, latency: float = LATENCY) -> None:
        super().__init__()
        self.latency = latency
        self.writes = 0

    def _made(self, service: str) -> Any:
        client = super()._made(service)
        client.meta.events.register(f"before-send.{service}", self._answer)
        return client

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        sleep(self.latency)
        statements = len(json.loads(request.body)["Statements"]) if operation == "BatchExecuteStatement" else 1
        self.writes += statements
        answer: dict[str, Any] = {"Responses": [{}] * statements} if statements > 1 else {}
        body = json.dumps(answer).encode()
        return AWSResponse(request.url, 200, {"content-type": "application/x-amz-json-1.0"}, _Raw(body))


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()
