"""The embedded cloud's functions: what is deployed is read in memory, and image functions run in the Lambda host."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from onnx_inference.local.cloud.patches import Patches, ministack
from onnx_inference.local.lambda_host.function_configuration import DeployedFunction, FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationResult, TooManyRequests

#: Runs an image function: takes the invoked ARN with its qualifier, and the event as JSON.
ImageInvoker = Callable[[str, bytes], InvocationResult]

_FUNCTION = "AWS::Lambda::Function"


class EmbeddedFunctions:
    """Reads deployed functions, and replaces how MiniStack runs them.

    Args:
        patches: Replaces it.
        invoke_image: Runs an image function, for every invocation that the cloud itself makes.
    """

    def __init__(self, patches: Patches, invoke_image: ImageInvoker) -> None:
        self.invoke_image = invoke_image
        self._lambda = ministack("services.lambda_svc")
        execute = self._lambda._execute_function_with_config_scope
        patches.attribute(self._lambda, "_execute_function_docker", self.execute_image)
        patches.attribute(self._lambda, "_execute_function_with_config_scope", _answering_for_failed(execute))
        patches.after_each_change(_FUNCTION, self._keep_what_is_dropped)

    def get(self, arn: FunctionArn) -> DeployedFunction | None:
        """The function as deployed at this moment: its versions, aliases and reserved concurrency.

        It is read from memory, not through the API, because this is asked at every invocation.
        """
        record = self._lambda._functions.get_scoped(arn.account, arn.region, arn.name)
        return None if record is None else DeployedFunction.from_record(record)

    def event_source_mappings(self) -> list[dict[str, Any]]:
        """Every event source mapping, as Lambda's API describes it."""
        return [dict(record) for _, record in self._lambda._esms.all_items()]

    def execute_image(self, func: Mapping[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        """Run an image function; MiniStack calls this instead of its container pool."""
        config = func.get("config") or func
        try:
            result = self.invoke_image(str(config["FunctionArn"]), json.dumps(event).encode())
        except TooManyRequests as error:
            response: dict[str, Any] = self._lambda._throttle_response(reason_code=error.reason, msg=str(error))
            return response
        answer: dict[str, Any] = {
            "body": result.payload.decode(),
            "raw_payload": True,
            "log": result.log_tail,
            "error": result.function_error is not None,
        }
        if result.function_error is not None:
            answer["function_error"] = result.function_error
        return answer

    def _keep_what_is_dropped(self, name: str, properties: Mapping[str, Any]) -> None:
        """Keep a function's file systems and reserved concurrency, which MiniStack's CloudFormation drops."""
        function = self._lambda._functions[name]
        function["config"]["FileSystemConfigs"] = properties.get("FileSystemConfigs", [])
        reserved = properties.get("ReservedConcurrentExecutions")
        function["concurrency"] = None if reserved is None else int(reserved)


def _answering_for_failed(execute: Callable[..., Any]) -> Callable[..., Any]:
    """How a function is run, with the answer FAILED to CloudFormation when a custom resource's function fails.

    Without it MiniStack waits for an answer as long as AWS does: an hour, unless the resource has a `ServiceTimeout`.
    """
    custom_resources = ministack("services.cloudformation.custom_resource")

    def execute_and_answer(func: Mapping[str, Any], event: Any, *arguments: Any, **named: Any) -> Any:
        result = execute(func, event, *arguments, **named)
        url = event.get("ResponseURL") if isinstance(event, dict) else None
        if isinstance(url, str) and isinstance(result, dict) and result.get("error"):
            answer = {"Status": "FAILED", "Reason": f"The function ended without an answer: {result.get('body')}"}
            custom_resources.deliver_response(url.rpartition("/")[2], answer)
        return result

    return execute_and_answer
