"""An API in front of an inference function, for clients of the Open Inference Protocol."""

from __future__ import annotations

from aws_cdk import Annotations
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from . import _api_validation, _http_api, _rest_api, _warnings
from .api_auth import AnyApiAuth, ApiAuth, NoAuth
from .api_type import AnyApiType, ApiType, RestApiType
from .cors import Cors
from .errors import InvalidInferenceConfig
from .inference_function import InferenceFunction
from .throttle import Throttle


class InferenceApi(Construct):
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

    api: apigatewayv2.HttpApi | apigateway.RestApi
    stage: apigatewayv2.HttpStage | apigateway.Stage
    url: str
    access_log_group: logs.ILogGroup
    api_key: apigateway.IApiKey | None
    usage_plan: apigateway.UsagePlan | None

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
        super().__init__(scope, construct_id)
        api_type = ApiType.http_api() if api_type is None else api_type
        auth = ApiAuth.iam() if auth is None else auth
        throttle = Throttle() if throttle is None else throttle
        problems = _api_validation.check(self.node.path, api_type=api_type, auth=auth, throttle=throttle, cors=cors)
        if problems:
            raise InvalidInferenceConfig(problems)

        self.access_log_group = access_log_group or logs.LogGroup(
            self, "AccessLog", retention=logs.RetentionDays.ONE_MONTH
        )
        name = self.node.path.replace("/", "-")
        description = f"Open Inference Protocol v2, {function.node.path}"
        if isinstance(auth, NoAuth):
            description += f". No authentication: {auth.reason}"
        parts: _http_api.HttpApiParts | _rest_api.RestApiParts
        if isinstance(api_type, RestApiType):
            parts = rest = _rest_api.build(
                self,
                name=name,
                description=description,
                api_type=api_type,
                alias=function.alias,
                auth=auth,
                throttle=throttle,
                access_log_group=self.access_log_group,
            )
            self.api_key, self.usage_plan = rest.api_key, rest.usage_plan
        else:
            parts = _http_api.build(
                self,
                name=name,
                description=description,
                alias=function.alias,
                auth=auth,
                throttle=throttle,
                cors=cors,
                access_log_group=self.access_log_group,
            )
            self.api_key = self.usage_plan = None
        self.api, self.stage, self.url = parts.api, parts.stage, parts.url
        self._execute_arn = parts.execute_arn
        self._warn(api_type, function)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets `grantee` call every route of the stage, where callers identify themselves with IAM."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["execute-api:Invoke"], resource_arns=[self._execute_arn]
        )

    def _warn(self, api_type: AnyApiType, function: InferenceFunction) -> None:
        limit: int | None = _http_api.TIMEOUT_MS
        if isinstance(api_type, RestApiType):
            limit = _rest_api.DEFAULT_TIMEOUT_MS
            if api_type.integration_timeout is not None:
                unresolved = api_type.integration_timeout.is_unresolved()
                limit = None if unresolved else int(api_type.integration_timeout.to_milliseconds())
            if not api_type.account_log_role:
                Annotations.of(self).add_info_v2(
                    _warnings.API_LOG_ROLE,
                    "API Gateway writes the access logs of a REST API with a role that is set once for an account and "
                    "region. Where there is none the deployment fails: set one, or use "
                    "ApiType.rest_api(account_log_role=True).",
                )
        if limit is None or function.timeout.is_unresolved() or function.timeout.to_milliseconds() <= limit:
            return
        Annotations.of(self).add_warning_v2(
            _warnings.FUNCTION_OUTLIVES_API,
            f"The function may run for {function.timeout.to_human_string()}, but the API gives its clients up after "
            f"{limit / 1000:g} s, while the function goes on and is paid for. Give the function a timeout of at most "
            f"{limit / 1000:g} s, unless others than this API wait for it.",
        )
