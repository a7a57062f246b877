"""Serves the one operation of CodeDeploy's API that hooks call: PutLifecycleEventHookExecutionStatus."""

import json
import threading
from http import HTTPStatus
from typing import Any

from onnx_inference.local.code_deploy.rollout import FAILED, SUCCEEDED
from onnx_inference.local.loopback_server import LOOPBACK, LoopbackHandler, LoopbackServer

_TARGET = "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus"


class Refused(Exception):
    """The API's error; `code` is its type."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class HookEndpoint:
    """Takes the statuses that hooks report. Safe to use from many threads."""

    def __init__(self) -> None:
        self._statuses: dict[tuple[str, str], str | None] = {}
        self._lock = threading.Lock()
        self._server = LoopbackServer(type("Handler", (_Handler,), {"endpoint": self}))
        self._server.start()

    @property
    def url(self) -> str:
        """The value of AWS_ENDPOINT_URL_CODEDEPLOY for functions."""
        return f"http://{LOOPBACK}:{self._server.port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.stop()

    def expect(self, deployment_id: str, execution_id: str) -> None:
        """Accept a report of this run of a hook from now on."""
        with self._lock:
            self._statuses[deployment_id, execution_id] = None

    def status(self, deployment_id: str, execution_id: str) -> str | None:
        """The reported status; None when there was no report. Further reports are refused."""
        with self._lock:
            return self._statuses.pop((deployment_id, execution_id), None)

    def report(self, request: Any) -> dict[str, str]:
        """Take one report.

        Raises:
            Refused: It is not a report, or no such hook runs.
        """
        values = request if isinstance(request, dict) else {}
        deployment_id, execution_id = values.get("deploymentId"), values.get("lifecycleEventHookExecutionId")
        status = values.get("status")
        if status not in (SUCCEEDED, FAILED):
            raise Refused(
                "InvalidLifecycleEventHookExecutionStatusException",
                f"The status is {status!r}; {SUCCEEDED} and {FAILED} can be reported.",
            )
        key = (str(deployment_id), str(execution_id))
        with self._lock:
            if key not in self._statuses:
                raise Refused(
                    "InvalidLifecycleEventHookExecutionIdException",
                    f"No hook {execution_id!r} of a deployment {deployment_id!r} runs.",
                )
            if self._statuses[key] is not None:
                raise Refused("LifecycleEventAlreadyCompletedException", "The hook has reported already.")
            self._statuses[key] = status
        return {"lifecycleEventHookExecutionId": key[1]}


class _Handler(LoopbackHandler):
    endpoint: HookEndpoint

    def do_POST(self) -> None:  # noqa: N802 - named by http.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.headers.get("X-Amz-Target") != _TARGET:
                raise Refused(
                    "UnknownOperationException",
                    f"The local twin's stand-in for CodeDeploy serves {_TARGET.partition('.')[2]} only.",
                )
            status, answer = HTTPStatus.OK, self.endpoint.report(json.loads(body))
        except Refused as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"__type": error.code, "message": str(error)}
        except ValueError:
            status, answer = HTTPStatus.BAD_REQUEST, {"__type": "SerializationException", "message": "not JSON"}
        document = json.dumps(answer).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)
