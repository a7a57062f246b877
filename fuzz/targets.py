"""The targets: each takes bytes, and raises if something does not hold that must hold for any bytes."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from onnx import TensorProto, helper

from fuzz.grammar import DATATYPES, Choices, document, event, shape, text, value
from onnx_handler.errors import LONGEST_MESSAGE, InferenceError
from onnx_handler.http import Handler
from onnx_handler.protocol import content_encoding
from onnx_handler.protocol.events import RESPONSE_LIMIT
from onnx_handler.tensors.codecs import from_json, from_raw, to_json, to_raw
from onnx_handler.tensors.datatypes import DATATYPES as SERVED
from tests.support import models

INFER = "/v2/models/model/infer"
# How many inputs ended in which way, for the report.
ended: Counter[str] = Counter()

Signature = tuple[list[tuple[str, str, list[int]]], list[str]]


def every_datatype() -> Any:
    """A model that returns its inputs, one of each of several datatypes."""
    kinds = {
        "FP32": TensorProto.FLOAT,
        "INT64": TensorProto.INT64,
        "BYTES": TensorProto.STRING,
        "BOOL": TensorProto.BOOL,
        "UINT8": TensorProto.UINT8,
        "FP16": TensorProto.FLOAT16,
        "UINT64": TensorProto.UINT64,
    }
    return models.model(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in kinds],
        [models.tensor(f"in_{name}", kind, ["n"]) for name, kind in kinds.items()],
        [models.tensor(f"out_{name}", kind, ["n"]) for name, kind in kinds.items()],
    )


@cache
def handlers() -> list[tuple[Handler, Signature]]:
    """A handler for each model that requests go to, with the model's signature."""
    made = []
    with tempfile.TemporaryDirectory() as directory:
        for index, model in enumerate(
            [
                models.matmul(),
                models.identity(TensorProto.STRING, ["n"]),
                models.identity(TensorProto.BFLOAT16, ["n", 2]),
                models.identity(TensorProto.DOUBLE, []),
                models.sum_and_difference(),
                every_datatype(),
            ]
        ):
            package = models.save(model, Path(directory) / str(index))
            with patch.dict(os.environ, MODEL_PATH=str(package)):
                handler = Handler()
            metadata = handler.handle(post("GET", "/v2/models/model", {}, b""), None)
            signature = json.loads(metadata["body"])
            inputs = [(one["name"], one["datatype"], one["shape"]) for one in signature["inputs"]]
            made.append((handler, (inputs, [one["name"] for one in signature["outputs"]])))
    return made


def post(method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """A function URL's event."""
    return {
        "rawPath": path,
        "headers": headers,
        "requestContext": {"http": {"method": method}},
        "body": b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def asked(handler: Handler, sent: Any) -> None:
    """Sends one event, and checks what must hold of every answer."""
    answer = handler.handle(sent, None)
    status = answer["statusCode"]
    ended[str(status)] += 1
    assert 200 <= status < 300 or 400 <= status < 500, answer["body"]
    assert len(json.dumps(answer, ensure_ascii=False).encode()) <= RESPONSE_LIMIT
    headers = answer.get("headers") or {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    body = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    length = int(headers.get("Inference-Header-Content-Length", len(body)))
    said = json.loads(body[:length])
    if status >= 400:
        assert said["error"]
        assert "the function's log has more" not in said["error"]
        assert len(said["error"]) < LONGEST_MESSAGE + 50
        return
    position = length
    for output in said.get("outputs", []):
        if "datatype" not in output or "model_name" not in said:
            continue
        size = output.get("parameters", {}).get("binary_data_size")
        if size is not None:
            from_raw("out", output["datatype"], output["shape"], body, position, size)
            position += size
        else:
            from_json("out", output["datatype"], output["shape"], output["data"])
    assert position == len(body)


def still_good() -> None:
    """Sends a good request, which must be answered whatever came before it."""
    good = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}'
    answer = handlers()[0][0].handle(post("POST", INFER, {}, good), None)
    assert json.loads(answer["body"])["outputs"][0]["data"] == [60.0, 70.0, 80.0]


def http(data: bytes) -> None:
    """The request as text: a first line `model method path`, headers, an empty line, the body.

    The first character of `model` chooses the handler. `@gzip` among the headers compresses the body. A header with the
    value `@` gets the length of the body before `@raw@`.
    """
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "surrogateescape").split("\n")
    index, _, rest = first.partition(" ")
    method, _, path = rest.partition(" ")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    before, marker, after = body.partition(b"@raw@")
    if marker:
        body = before + after
        headers = {name: str(len(before)) if held == "@" else held for name, held in headers.items()}
    if "@gzip" in lines:
        body = gzip.compress(body, 1)
    chosen = handlers()[ord(index[0]) % len(handlers()) if index else 0][0]
    asked(chosen, post(method, path, headers, body))


def events(data: bytes) -> None:
    """Any event."""
    asked(handlers()[0][0], event(Choices(data)))


def inference(data: bytes) -> None:
    """An almost valid inference request to one of the models."""
    choices = Choices(data)
    handler, signature = choices.of(handlers())
    made, raw = document(choices, *signature)
    head = json.dumps(made).encode()
    headers = {}
    if raw or choices.below(2):
        headers["inference-header-content-length"] = text(choices) if choices.seldom() else str(len(head))
    if choices.below(4) == 1:
        headers["accept-encoding"] = "gzip"
    body = head + raw
    packing = choices.below(8)
    if packing == 1:
        headers["content-encoding"], body = "gzip", gzip.compress(body, 1)
    elif packing == 2:
        headers["content-encoding"], body = "deflate", zlib.compress(body, 1)
    if choices.seldom():
        place = choices.byte() % (len(body) + 1)
        body = body[:place] + choices.raw(4) + body[place + choices.below(4) :]
    asked(handler, post("POST", INFER, headers, body))


def codecs(data: bytes) -> None:
    """The codecs alone: what they read has the declared shape, and is written as the same bytes or values."""
    choices = Choices(data)
    datatype = choices.of(sorted(SERVED))
    form = choices.below(3)
    sizes = shape(choices)
    if not isinstance(sizes, list) or not all(type(size) is int and 0 <= size < 2**63 for size in sizes):
        sizes = [choices.below(4)]
    try:
        if form == 0:
            choices.of(DATATYPES)
            offset, body = choices.below(9), choices.rest()
            offset = min(offset, len(body))
            array = from_raw("x", datatype, sizes, body, offset, len(body) - offset)
            again = bytes(to_raw(array, datatype))
            if datatype != "BF16":  # its NaNs lose their payload
                assert again == body[offset:]
        elif form == 1:
            array = from_json("x", datatype, sizes, value(choices))
            again = from_json("x", datatype, sizes, json.loads(to_json(array, datatype)))
            assert np.array_equal(array, again, equal_nan=array.dtype.kind == "f")
        else:
            encoding, body = choices.of(["gzip", "deflate", "x-gzip", "identity", "br", " GZIP "]), choices.rest()
            content_encoding.accepts_gzip(body.decode("latin-1"))
            assert len(content_encoding.decoded(body, encoding)) <= content_encoding.INFLATED_LIMIT
            ended["inflated"] += 1
            return
        assert list(array.shape) == sizes
        ended["read"] += 1
    except InferenceError as refused:
        ended["refused"] += 1
        if not str(refused):
            raise AssertionError("a refusal without a reason") from refused


TARGETS: dict[str, Callable[[bytes], None]] = {
    "http": http,
    "events": events,
    "inference": inference,
    "codecs": codecs,
}
