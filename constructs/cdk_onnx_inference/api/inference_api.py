"""An API in front of an inference function, for clients of the Open Inference Protocol."""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference.functions.inference_function import InferenceFunction

from ._published_api import PublishedApi
from ._routes import ROUTES
from .api_auth import AnyApiAuth
from .api_type import AnyApiType
from .cors import Cors
from .throttle import Throttle


class InferenceApi(PublishedApi):
    """Publishes an inference function's alias under the routes of the Open Inference Protocol, and no others.

    It makes the API with a stage, an access log and one permission to invoke the alias. Requests are throttled, and
    callers identify themselves with IAM, unless the arguments say otherwise.

    An API waits for the function for a limited time. A function that may run longer is no error, because it may serve
    others who wait, such as a queue; but a client of the API then gets an error while the function goes on, at the
    account's cost, so the construct warns.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything, and changes the URL.
        function: What to publish.
        api_type: HTTP or REST API. A change replaces the API and changes the URL. Default: an HTTP API.
        auth: Who may call. A change updates the routes in place. Default: principals of IAM that have
            `execute-api:Invoke`, see `grant_invoke`.
        throttle: How many requests are let through. A change updates the stage in place. Default: 100 a second, and
            200 at once.
        cors: Which web pages may call. HTTP APIs only. A change updates the API in place. Default: none.
        access_log_group: Where the access log goes, one line of JSON for each request. A change updates the stage in
            place. Default: a new group, retained when the stack is deleted, whose events expire after one month.

    Attributes:
        api: The `HttpApi` or `RestApi`.
        stage: Its stage.
        url: Base URL, beginning with https:// and without a slash at its end: a request goes to `{url}/v2/...`.
            `tritonclient.http` wants it without the scheme and with `ssl=True`.
        access_log_group: Where the access log goes.
        api_key: The key, with `ApiAuth.api_key()`; else None.
        usage_plan: The key's plan, with `ApiAuth.api_key()`; else None.

    Raises:
        InvalidInferenceConfig: With all problems: `auth-unsupported` (JWT on a REST API, a key on an HTTP API),
            `reason-missing`, `jwt-issuer`, `jwt-audience`, `throttle-rate`, `throttle-burst`, `cors-unsupported`,
            `cors-origins`, `api-timeout-range`, `stage-name`.

    Warns, in CDK's way:
        `cdk-onnx-inference:function-outlives-api`; informs: `cdk-onnx-inference:api-log-role`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: InferenceFunction,
        api_type: AnyApiType | None = None,
        auth: AnyApiAuth | None = None,
        throttle: Throttle | None = None,
        cors: Cors | None = None,
        access_log_group: logs.ILogGroup | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            alias=function.alias,
            timeout=function.timeout,
            routes=ROUTES,
            description=f"Open Inference Protocol v2, {function.node.path}",
            api_type=api_type,
            auth=auth,
            throttle=throttle,
            cors=cors,
            access_log_group=access_log_group,
        )
