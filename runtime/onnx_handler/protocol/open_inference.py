"""The server of the Open Inference Protocol v2: its routes and their answers."""

from __future__ import annotations

import json
from time import perf_counter_ns
from typing import Any

from onnx_handler import __version__
from onnx_handler.metrics import Phases
from onnx_handler.models.processing import ProcessingRequest
from onnx_handler.models.repository import Repository, Served

from . import content_encoding, inference_request, inference_response, request_form
from .events import Request, Response
from .routing import Router

# Exactly what is served. The API constructs make the same routes; a contract test holds the two equal.
ROUTES: tuple[tuple[str, str], ...] = (
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/v2/models/{model}"),
    ("GET", "/v2/models/{model}/ready"),
    ("POST", "/v2/models/{model}/infer"),
    ("GET", "/v2/models/{model}/versions/{version}"),
    ("GET", "/v2/models/{model}/versions/{version}/ready"),
    ("POST", "/v2/models/{model}/versions/{version}/infer"),
)
match = Router(ROUTES).match


class Server:
    """Answers requests for the function's models."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def answer(self, request: Request, phases: Phases) -> Response:
        """Answers one request.

        Args:
            request: as its event had it.
            phases: receives the milliseconds of each phase, and the model's metrics, if it is an inference.

        Raises:
            InferenceError: with the status and the message of the answer.
        """
        route = match(request.method, request.path)
        repository = self._repository
        if route.model is not None:
            served = repository.find(route.model, route.version)
            match route.action:
                case "models/infer" | "models/versions/infer":
                    return self._infer(served, request, phases)
                case "models" | "models/versions":
                    return _json(200, repository.loaded(served).metadata())
                case _:
                    return _ready({"name": served.name}, repository.why_not_ready(served))
        match route.action:
            case "health/live":
                return _json(200, {"live": True, "ready": not repository.why_not_all_ready()})
            case "health/ready":
                # Both members, because clients differ in which one they read (kserve#3820).
                return _ready({"live": True}, repository.why_not_all_ready())
            case _:
                return _json(
                    200, {"name": "cdk-onnx-inference", "version": __version__, "extensions": ["binary_tensor_data"]}
                )

    def _infer(self, served: Served, request: Request, phases: Phases) -> Response:
        model = served.model or self._repository.loaded(served)
        served.used = start = perf_counter_ns()
        phases.metrics = served.metrics
        headers = request.headers
        body = content_encoding.decoded(request.body, headers.get("content-encoding", ""))
        inference = inference_request.parse(body, headers.get(request_form.HEADER_LENGTH), model.inputs)
        decoded = perf_counter_ns()
        phases["Decode"] = (decoded - start) / 1e6
        outputs = model.infer(
            ProcessingRequest(inference.inputs, inference.parameters, inference.id), inference.outputs, phases
        )
        encoding = perf_counter_ns()
        response = inference_response.build(model, inference, outputs)
        if len(response.body) >= content_encoding.WORTH_COMPRESSING and content_encoding.accepts_gzip(
            headers.get("accept-encoding", "")
        ):
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Vary"] = "Accept-Encoding"
            response = Response(200, response.headers, content_encoding.gzipped(response.body), text=False)
        phases["Encode"] = (perf_counter_ns() - encoding) / 1e6
        return response


def _ready(body: dict[str, Any], why_not: str) -> Response:
    if why_not:
        return _json(503, {**body, "ready": False, "error": why_not})
    return _json(200, {**body, "ready": True})


def _json(status: int, document: dict[str, Any]) -> Response:
    body = json.dumps(document, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": "application/json"}, body, text=True)


def error(status: int, message: str) -> Response:
    """The protocol's error body."""
    return _json(status, {"error": message})
