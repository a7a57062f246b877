"""The routes that an API passes to the handler. All others are answered by the API.

The handler has the same tables, in `onnx_handler.protocol.open_inference` and `onnx_handler.jobs.api`; a contract test
holds them equal. A route that only one side knows would be either a 404 of the API or an unreachable part of the
handler.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Final

Routes = tuple[tuple[str, str], ...]
"""(method, path template). Templates are in API Gateway's notation, which HTTP and REST APIs share."""

ROUTES: Final[Routes] = (
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
"""Of the Open Inference Protocol."""

JOB_ROUTES: Final[Routes] = (
    ("POST", "/v2/models/{model}/jobs"),
    ("PUT", "/v2/models/{model}/jobs/{job}"),
    ("GET", "/v2/models/{model}/jobs/{job}"),
    ("GET", "/v2/models/{model}/jobs/{job}/result"),
    ("DELETE", "/v2/models/{model}/jobs/{job}"),
    ("POST", "/v2/models/{model}/versions/{version}/jobs"),
    ("PUT", "/v2/models/{model}/versions/{version}/jobs/{job}"),
    ("GET", "/v2/models/{model}/versions/{version}/jobs/{job}"),
    ("GET", "/v2/models/{model}/versions/{version}/jobs/{job}/result"),
    ("DELETE", "/v2/models/{model}/versions/{version}/jobs/{job}"),
)
"""Of jobs, which answer when they are asked for."""
