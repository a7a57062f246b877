"""Who is compared: our handler and the competitors, each with its /var/task and its own form of request."""

from __future__ import annotations

import compileall
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BENCHMARKS = Path(__file__).parent
REPOSITORY = BENCHMARKS.parent
DIGITS = REPOSITORY / "examples" / "digits" / "model.onnx"

OURS, LEAST, PLAIN, FASTAPI = "ours", "least", "plain", "fastapi_mangum"
LEAST_TUNED = "least_tuned"  # the same code as LEAST
TITLES = {
    OURS: "onnx_handler",
    LEAST: "least handler",
    LEAST_TUNED: "least handler, one BLAS thread",
    PLAIN: "plain handler, boto3 clients",
    FASTAPI: "FastAPI + Mangum",
}


@dataclass(frozen=True)
class Contender:
    """A handler that is compared.

    Attributes:
        name: Of its directory.
        command: The function's command.
        task_root: Its code and its model, bytecode included.
        event: The request for one prediction of the digits example, in this contender's form.
    """

    name: str
    command: str
    task_root: Path
    event: Any

    @property
    def model(self) -> str:
        return str(self.task_root / "model" / "model.onnx")

    def environment(self) -> dict[str, str]:
        """The function's own variables."""
        if self.name == OURS:
            return {"MODEL_PATH": "model", "MODEL_NAME": "digits"}
        if self.name == LEAST_TUNED:
            return {"MODEL_PATH": self.model, "OPENBLAS_NUM_THREADS": "1"}
        return {"MODEL_PATH": self.model}


def staged(name: str, into: Path) -> Contender:
    """Lays out a contender's task root as its image would, precompiled, with the digits model."""
    task_root = into / name
    shutil.rmtree(task_root, ignore_errors=True)
    (task_root / "model").mkdir(parents=True)
    shutil.copy(DIGITS, task_root / "model" / "model.onnx")
    without_bytecode = shutil.ignore_patterns("__pycache__")
    if name == OURS:
        source, command = REPOSITORY / "runtime" / "onnx_handler", "onnx_handler.http.handler"
        shutil.copytree(source, task_root / "onnx_handler", ignore=without_bytecode)
    else:
        source, command = BENCHMARKS / "competitors" / name.removesuffix("_tuned"), "handler.handler"
        shutil.copytree(source, task_root, ignore=without_bytecode, dirs_exist_ok=True)
    compileall.compile_dir(task_root, quiet=2)
    return Contender(name, command, task_root, event(name, digit()))


def digit() -> list[Any]:
    """One image of the digits example, [1, 1, 8, 8], as JSON carries it."""
    images: list[Any] = np.load(DIGITS.parent / "goldens" / "images.npy")[:1].tolist()
    return images


def event(name: str, image: list[Any]) -> Any:
    """A request for one prediction, in a contender's own form."""
    if name in (LEAST, LEAST_TUNED):
        return {"image": image}
    if name == OURS:
        flat = [value for row in image[0][0] for value in row]
        tensor = {"name": "image", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": flat}
        return http_event("/v2/models/digits/infer", {"inputs": [tensor]})
    return http_event("/predict", {"image": image})


def http_event(path: str, document: Any) -> dict[str, Any]:
    """An HTTP API event, payload format 2.0, as a client with the usual headers causes it."""
    body = json.dumps(document)
    return {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "accept-encoding": "gzip, deflate",
            "content-length": str(len(body)),
            "content-type": "application/json",
            "host": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "user-agent": "python-requests/2.32",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "python-requests/2.32",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": f"POST {path}",
            "stage": "$default",
            "time": "10/Mar/2020:05:16:23 +0000",
            "timeEpoch": 1583817383220,
        },
        "body": body,
        "isBase64Encoded": False,
    }
