"""The Lambda proxy integration: invokes the function and waits for its answer, within the API's time limit."""

import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationResult

#: Runs one synchronous invocation.
Invoke = Callable[[FunctionArn, bytes], InvocationResult]


class IntegrationTimeout(Exception):
    """The function did not answer within the integration's limit. Its invocation goes on, as on AWS."""


def invoke_within(
    invoke: Invoke, function: FunctionArn, event: Mapping[str, Any], seconds: float | None
) -> InvocationResult:
    """Invoke a function, and wait for its answer as long as the integration does.

    Args:
        invoke: Runs the invocation.
        function: The function, with its alias.
        event: The event.
        seconds: The time limit of the integration; None for only the function's own timeout.

    Raises:
        IntegrationTimeout: The limit has passed.
        InvokeError: Lambda refused the invocation.
    """
    payload = json.dumps(event, separators=(",", ":")).encode()
    if seconds is None:
        return invoke(function, payload)
    answers: queue.SimpleQueue[InvocationResult | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(invoke(function, payload))
        except BaseException as error:
            answers.put(error)

    threading.Thread(target=run, name=f"invoke-{function.name}", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise IntegrationTimeout from None
    if isinstance(answer, BaseException):
        raise answer
    return answer
