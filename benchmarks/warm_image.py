"""A warm request with one 1x3x224x224 FP32 image in binary form, through a model of ResNet-50's size."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import resnet50
from .contenders import http_event
from .in_process import CONTEXT, log, our_handler, session, typical, variables
from .rounds import Chart, Figure, Result, interleaved, ratios

GOAL = 1.05
CALLS = 3  # per round and contender
SHAPE = (1, 3, 224, 224)
BINARY, JSON, RUN = "onnx_handler, binary", "onnx_handler, JSON", "session.run"
JSON_DIGITS = 6  # as clients print a float32


def run(rounds: int, workplace: Path, calls: int = CALLS, model: Path | None = None) -> Result:
    """Measures `model`, by default one that is built on the spot: `image` in, `logits` out."""
    model = model or resnet50.saved(workplace / "resnet50" / "model.onnx")
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    with (
        variables({"MODEL_PATH": str(model), "MODEL_NAME": "resnet50", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}),
        log(),
    ):
        handle = our_handler()
    own = session(model)
    binary, text = binary_event(image), json_event(image)
    contenders: dict[str, Callable[[], Any]] = {
        BINARY: lambda: handle(binary, CONTEXT),
        JSON: lambda: handle(text, CONTEXT),
        RUN: lambda: own.run(["logits"], {"image": image}),
    }
    with log():
        for name in (BINARY, JSON):
            answer = contenders[name]()
            assert answer["statusCode"] == 200, answer
        samples = interleaved({name: typical(call, calls) for name, call in contenders.items()}, rounds)
    return Result(
        "warm_image",
        "Warm request, 1x3x224x224 FP32, model of ResNet-50's size",
        samples,
        "µs",
        [
            Figure("warm, 1x3x224x224 FP32 binary", "session.run", ratios(samples, BINARY, RUN), GOAL),
            Figure("warm, the same image as JSON", "session.run", ratios(samples, JSON, RUN)),
        ],
        Chart(
            "Warm request, 1x3x224x224 FP32 through a model of ResNet-50's size, relative to session.run",
            {name: ratios(samples, name, RUN) for name in contenders},
            BINARY,
        ),
    )


def binary_event(image: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Tensors raw both ways; API Gateway hands binary bodies on in base64."""
    raw = image.tobytes()
    tensor = {
        "name": "image",
        "datatype": "FP32",
        "shape": list(image.shape),
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    event = http_event("/v2/models/resnet50/infer", None)
    event["headers"] |= {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return {**event, "body": b64encode(head + raw).decode(), "isBase64Encoded": True}


def json_event(image: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The same image as text."""
    data = [round(value, JSON_DIGITS) for value in image.ravel().tolist()]
    tensor = {"name": "image", "datatype": "FP32", "shape": list(image.shape), "data": data}
    return http_event("/v2/models/resnet50/infer", {"inputs": [tensor]})
