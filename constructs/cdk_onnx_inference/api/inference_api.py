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
    """Publishes an inference function under the routes of the Open Inference Protocol, and no others.

    It makes the API with a stage, an access log and one permission to invoke the function's alias. By default requests
    are throttled, and callers must use IAM.

    An API waits for the function for a limited time. If the function runs longer, the client gets an error while the
    function runs on and is billed. The construct then warns. It is not an error, because the function may also serve
    others that wait longer, such as a queue.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything, and changes the URL.
        function: What to publish.
        api_type: HTTP or REST API. A change replaces the API and changes the URL. Default: an HTTP API.
        auth: Who may call. A change updates the routes in place. Default: IAM principals with the permission
            `execute-api:Invoke`; see `grant_invoke`.
        throttle: How many requests are accepted. A change updates the stage in place. Default: 100 a second, and 200 at
            once.
        cors: Which web pages may call. HTTP APIs only. A change updates the API in place. Default: none.
        access_log_group: Where the access log goes, one line of JSON for each request. A change updates the stage in
            place. Default: a new group, which is retained when the stack is deleted; events expire after one month.

    Attributes:
        api: The `HttpApi` or `RestApi`.
        stage: Its stage.
        url: Base URL, beginning with https:// and without a slash at its end: a request goes to `{url}/v2/...`.
            `tritonclient.http` needs it without the scheme, and `ssl=True`.
        access_log_group: Where the access log goes.
        api_key: The key, with `ApiAuth.api_key()`; else None.
        usage_plan: The key's plan, with `ApiAuth.api_key()`; else None.

    Raises:
        InvalidInferenceConfig: With all problems: `auth-unsupported` (JWT on a REST API, a key on an HTTP API),
            `reason-missing`, `jwt-issuer`, `jwt-audience`, `throttle-rate`, `throttle-burst`, `cors-unsupported`,
            `cors-origins`, `api-timeout-range`, `stage-name`.

    Warns, in CDK's way:
        `cdk-onnx-inference:function-outlives-api`; as information: `cdk-onnx-inference:api-log-role`.
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
