# ruff: noqa: E402 - what is ahead of the imports is there to make them faster
"""The command of a function behind an API: `onnx_handler.http.handler`.

The model loads while Lambda initialises the environment, that is, while this module is imported; of several models, as
many as fit into memory. If a model cannot load, the process does not end, because Lambda would only start it again:
the cause is logged, and `ready` and every inference answer 503 with it.
"""

from __future__ import annotations

import gc
import os

gc.disable()  # what imports create stays; collections would take 7 % of the imports' time
from .storage import prefetch

prefetch.start(os.environ)  # brings the model while the modules below are imported

# isort: split
import logging
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Any

from .errors import InferenceError, MethodNotAllowed, ModelUnusable
from .metrics import Phases
from .models.repository import Repository
from .protocol.events import WARMER, Response, read, write
from .protocol.open_inference import Server, error
from .settings import Settings

_log = logging.getLogger("onnx_handler")


class Handler:
    """What one execution environment keeps between requests."""

    def __init__(self) -> None:
        self._cold = True
        try:
            repository = Repository(Settings.all_from_environment())
        except ModelUnusable as cause:
            _log.error("the function's environment is wrong: %s", cause)
            repository = Repository([], str(cause))
        self._repository = repository
        self._server = Server(repository)
        initialization_type = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        self._on_demand = initialization_type == "on-demand"
        if not self._on_demand:
            from .cold_start.initialisation import complete

            complete(initialization_type, repository)

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """Answers one event. It never raises: an error is an answer too."""
        if isinstance(event, dict) and event.get("source") == WARMER:
            return self._keep_warm(event, context)
        phases = Phases()
        try:
            response = self._server.answer(read(event), phases)
            answer = write(event, response)
        except InferenceError as problem:
            if problem.status >= 500:
                _record(logging.ERROR, str(problem), problem.__cause__)
            else:  # the client's mistake: the message is enough, and stack traces cost time and log storage
                _record(logging.WARNING, str(problem))
            answer = write(event, _error_response(problem))
        except Exception as problem:
            _record(logging.ERROR, f"unexpected {type(problem).__name__}", problem)
            answer = write(event, error(500, f"unexpected {type(problem).__name__}; the function's log has more"))
        if phases:
            request_id = getattr(context, "aws_request_id", "")
            phases.metrics.inferred(request_id, answer["statusCode"], self._cold, phases)
        if self._cold:
            self._cold = False
            if self._on_demand and (metrics := self._repository.first_metrics) is not None:
                metrics.started(_milliseconds_to(_ready_at))
        return answer

    def _keep_warm(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        from .cold_start.warm import answer  # late: most cold starts are not caused by a warmer

        first, self._cold = self._cold, False
        return answer(event, context, self._repository, first=first)


def _error_response(problem: InferenceError) -> Response:
    response = error(problem.status, str(problem))
    if isinstance(problem, MethodNotAllowed):
        response.headers["Allow"] = problem.allow
    return response


def _record(level: int, message: str, cause: BaseException | None = None) -> None:
    try:
        _log.log(level, "%s", message, exc_info=cause)
    except UnicodeEncodeError:  # the client sent half a surrogate pair, and Lambda's log handler cannot write it
        from traceback import format_exception

        trace = "".join(format_exception(cause)) if cause is not None else ""
        _log.log(level, "%s", ascii(f"{message}\n{trace}"))


def _milliseconds_to(moment: float) -> float:
    """Milliseconds from the start of this process; the kernel has it in clock ticks after its own boot."""
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib is not worth its import here
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    return (moment - ticks / os.sysconf("SC_CLK_TCK")) * 1000


handler = Handler().handle
_ready_at = clock_gettime(CLOCK_BOOTTIME)
gc.freeze()  # and collections during requests need not look at it
gc.enable()
