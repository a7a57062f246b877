"""The routes of the Open Inference Protocol that an API passes to the handler. All others are answered by the API.

The handler has the same table (`onnx_handler.open_inference.ROUTES`); a contract test holds the two equal. A route
that only one side knows would be either a 404 of the API or an unreachable part of the handler.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Final

ROUTES: Final[tuple[tuple[str, str], ...]] = (
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
"""(method, path template). Templates are in API Gateway's notation, which HTTP and REST APIs share."""
