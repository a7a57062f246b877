"""A served model in this process: the handler's own code, without Lambda around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from onnx_handler.http import Handler
from onnx_handler.storage import s3
from onnx_handler.tensors.codecs import to_raw
from tests.support import events, models
from tests.support.s3 import S3, serving

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
CONTEXT = SimpleNamespace(aws_request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef")


class Served:
    """Asks a handler as a client would."""

    def __init__(self, handler: Handler, source: events.Builder) -> None:
        self.handler = handler
        self.source = source

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        event = self.source(method, path, headers or {}, body)
        return events.answered(self.handler.handle(event, CONTEXT))

    def get(self, path: str) -> tuple[int, Any]:
        status, _, body = self.request("GET", path)
        return status, json.loads(body)

    def infer(self, document: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        status, _, body = self.request("POST", "/v2/models/model/infer", json.dumps(document).encode(), headers)
        return status, json.loads(body)

    def infer_binary(
        self,
        inputs: Mapping[str, tuple[str, np.ndarray[Any, Any]]],
        outputs: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> tuple[int, dict[str, str], bytes]:
        raw = {name: bytes(to_raw(array, datatype)) for name, (datatype, array) in inputs.items()}
        document = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype,
                    "shape": list(array.shape),
                    "parameters": {"binary_data_size": len(raw[name])},
                }
                for name, (datatype, array) in inputs.items()
            ],
            **({"outputs": [{"name": name} for name in outputs]} if outputs else {}),
            "parameters": {"binary_data_output": True},
            **members,
        }
        head = json.dumps(document).encode()
        sent = {"Inference-Header-Content-Length": str(len(head)), **(headers or {})}
        return self.request("POST", "/v2/models/model/infer", b"".join([head, *raw.values()]), sent)


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serves a model: `serve(models.matmul())`, with `processing=` source text and any environment variable."""

    def start(
        model: onnx.ModelProto | None,
        processing: str | None = None,
        source: events.Builder = events.function_url,
        **environment: str,
    ) -> Served:
        if model is not None:
            models.save(model, tmp_path / "model")
        defaults = {"LAMBDA_TASK_ROOT": str(tmp_path), "MODEL_PATH": "model", "AWS_LAMBDA_FUNCTION_NAME": "digits"}
        if processing is not None:
            (tmp_path / "processing.py").write_text(processing)
            defaults["PROCESSING_PATH"] = "processing.py"
        for name, value in {**defaults, **environment}.items():
            monkeypatch.setenv(name, value)
        return Served(Handler(), source)

    return start


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """An S3 that this process's environment variables lead to, and no long pauses before a GET is tried again."""
    with serving() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(s3, "FIRST_PAUSE", 0.001)
        yield server
