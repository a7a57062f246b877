"""A model behind an API: the smallest complete service."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from constructs import Construct

from cdk_onnx_inference import ColdStart, InferenceApi, InferenceFunction, ModelSource, Processing
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType

from .acknowledgements import acknowledge


class Realtime(Stack):
    """Answers synchronous requests of the Open Inference Protocol.

    Args:
        scope: The app.
        construct_id: Id, and name, of the stack.
        model: The model to serve.
        processing: The user's own pre- and post-processing. Default: none.
        cold_start: What is done about cold starts. Default: nothing.
        memory_size: The function's memory in MB. Default: 1769.
        timeout: Longest run of one request. Default: 29 seconds, for which both kinds of API wait.
        api_type: HTTP or REST API. Default: HTTP.
        auth: Who may call. Default: IAM.
        stack_props: Further arguments of `Stack`, e.g. `env`.

    Outputs:
        Endpoint: Base URL of the API, without a slash at its end.
        FunctionName: The function's name.
        AliasArn: ARN of the alias, to invoke the function without the API.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        model: ModelSource,
        processing: Processing | None = None,
        cold_start: ColdStart | None = None,
        memory_size: int = 1769,
        timeout: Duration | None = None,
        api_type: AnyApiType | None = None,
        auth: AnyApiAuth | None = None,
        **stack_props: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack_props)
        self.inference = InferenceFunction(
            self,
            "Inference",
            model=model,
            processing=processing,
            cold_start=cold_start,
            memory_size=memory_size,
            timeout=Duration.seconds(29) if timeout is None else timeout,
        )
        self.api = InferenceApi(self, "Api", function=self.inference, api_type=api_type, auth=auth)
        acknowledge(self.inference, self.api, api_type=api_type, auth=auth)

        CfnOutput(self, "Endpoint", value=self.api.url)
        CfnOutput(self, "FunctionName", value=self.inference.function.function_name)
        CfnOutput(self, "AliasArn", value=self.inference.alias.function_arn)
