"""The command of the job API: `onnx_handler.job_api.handler`. It submits, shows and cancels jobs, and runs none.

It imports neither onnxruntime nor numpy, so it starts in a fraction of the time and runs in the smallest function.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from .aws import Clients, is_transient
from .errors import InferenceError, MethodNotAllowed, NotFinished, Unavailable
from .jobs.api import RETRY_AFTER, ROUTES, JobApi
from .jobs.settings import JobSettings, JobsMisconfigured
from .jobs.validation import Signatures
from .protocol.events import Response, read, write
from .protocol.routing import Router

_log = logging.getLogger("onnx_handler")

# Seconds of one call to AWS, and calls in all: the answer must come before the API's own timeout.
CALL_TIMEOUT, ATTEMPTS = 4.0, 3


class Handler:
    """What one execution environment keeps between requests.

    Args:
        clients: for AWS.
    """

    def __init__(self, clients: Clients | None = None) -> None:
        self._router = Router(ROUTES)
        self._api: JobApi | None = None
        try:
            settings = JobSettings.from_environment(os.environ, "JOBS_QUEUE_URL", "PAYLOAD_BUCKET_NAME")
            signatures = Signatures.load(settings.signatures_path)
        except JobsMisconfigured as cause:
            self._cause = f"the function's environment is wrong: {cause}"
            _log.error("%s", self._cause)
            return
        self._api = JobApi(settings, signatures, clients or Clients(ATTEMPTS, CALL_TIMEOUT))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Answers one event. It never raises: an error is an answer too."""
        try:
            request = read(event)
            route = self._router.match(request.method, request.path)
            if self._api is None:
                raise Unavailable(self._cause)
            return write(event, self._api.answer(request, route, event, context))
        except InferenceError as problem:
            return write(event, _error_response(problem))
        except Exception as problem:
            if is_transient(problem):
                _log.warning("AWS did not answer: %s", problem)
                return write(event, _error_response(Unavailable("the service is busy; try again")))
            _log.exception("unexpected %s", type(problem).__name__)
            message = f"unexpected {type(problem).__name__}; the function's log has more"
            return write(event, _error_response(InferenceError(message)))


def _error_response(problem: InferenceError) -> Response:
    if problem.status >= 500:
        _log.error("%s", ascii(str(problem)))
    body = json.dumps({"error": str(problem)}, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    if isinstance(problem, MethodNotAllowed):
        headers["Allow"] = problem.allow
    if isinstance(problem, (NotFinished, Unavailable)):
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(problem.status, headers, body, text=True)


handler = Handler().handle
