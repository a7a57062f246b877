"""The API of jobs, if they are not published on an existing API."""

from __future__ import annotations

from typing import TypedDict

from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference.api._published_api import PublishedApi
from cdk_onnx_inference.api._routes import JOB_ROUTES
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType
from cdk_onnx_inference.api.cors import Cors
from cdk_onnx_inference.api.throttle import Throttle
from cdk_onnx_inference.functions.service_function import ServiceFunction


class JobApiOptions(TypedDict):
    """The arguments of `AsyncInference` that are meant for a `JobApi`. None for the defaults of `InferenceApi`."""

    api_type: AnyApiType | None
    auth: AnyApiAuth | None
    throttle: Throttle | None
    cors: Cors | None
    access_log_group: logs.ILogGroup | None


class JobApi(PublishedApi):
    """Publishes the jobs of an `AsyncInference`, which makes it. Its options are those of `InferenceApi`.

    Attributes:
        api: The `HttpApi` or `RestApi`.
        stage: Its stage.
        url: Base URL, beginning with https:// and without a slash at its end.
        access_log_group: Where the access log goes.
        api_key: The key, with `ApiAuth.api_key()`; else None.
        usage_plan: The key's plan, with `ApiAuth.api_key()`; else None.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: ServiceFunction,
        api_type: AnyApiType | None,
        auth: AnyApiAuth | None,
        throttle: Throttle | None,
        cors: Cors | None,
        access_log_group: logs.ILogGroup | None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            alias=function.alias,
            timeout=function.timeout,
            routes=JOB_ROUTES,
            description=f"Inference jobs, {scope.node.path}",
            api_type=api_type,
            auth=auth,
            throttle=throttle,
            cors=cors,
            access_log_group=access_log_group,
        )
