"""The routes that an API passes to the handler. The API itself answers requests to others.

The handler has the same tables. A contract test compares them: a route on one side only would be a 404 of the API, or
code of the handler that nothing can reach.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Final

Route = tuple[str, str]
"""Method and path template, in API Gateway's notation, which is the same for HTTP and REST APIs."""

Routes = tuple[Route, ...]

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
"""The routes of the Open Inference Protocol."""

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
"""The routes of jobs."""
