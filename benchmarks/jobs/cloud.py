"""A DynamoDB that is no bottleneck: answers in this process, below boto3, after the latency of the real one.

What boto3 does (serialising, signing, parsing) is done; what is not there is the network and TLS. The conditions are
not evaluated, because every job of the benchmark is new: each change is answered as written.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from time import sleep
from typing import Any

from botocore.awsrequest import AWSResponse

from onnx_handler.aws import Clients

# Seconds of a write, as AWS publishes for DynamoDB: "single-digit milliseconds".
LATENCY = 0.005


class LoopbackClients(Clients):
    """Clients that reach no network.

    Attributes:
        calls: how many, by operation.
        writes: items written.
    """

    def __init__(self, latency: float = LATENCY) -> None:
        super().__init__()
        self.latency = latency
        self.calls: Counter[str] = Counter()
        self.writes = 0

    def _made(self, service: str) -> Any:
        client = super()._made(service)
        client.meta.events.register(f"before-send.{service}", self._answer)
        return client

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        self.calls[operation] += 1
        sleep(self.latency)
        statements = len(json.loads(request.body)["Statements"]) if operation == "BatchExecuteStatement" else 1
        self.writes += statements
        answer: dict[str, Any] = {"Responses": [{}] * statements} if statements > 1 else {}
        body = json.dumps(answer).encode()
        return AWSResponse(request.url, 200, {"content-type": "application/x-amz-json-1.0"}, _Raw(body))


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()
