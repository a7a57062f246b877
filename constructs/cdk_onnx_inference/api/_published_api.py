"""An API in front of an alias: what the APIs of this library have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aws_cdk import Annotations, Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference import _warnings
from cdk_onnx_inference.errors import InvalidInferenceConfig

from . import _api_validation, _http_api, _rest_api
from ._routes import Route, Routes
from .api_auth import AnyApiAuth, ApiAuth, NoAuth
from .api_type import AnyApiType, ApiType, RestApiType
from .cors import Cors
from .throttle import Throttle


class PublishedApi(Construct):
    """An HTTP or REST API with a stage, an access log, its routes and one permission to invoke the alias.

    Args:
        scope: The parent.
        construct_id: Its id.
        alias: What the routes invoke.
        timeout: Longest run of one invocation of the alias.
        routes: The routes. The API itself answers requests to others.
        description: The API's description.
        api_type: See `InferenceApi`, as for all arguments that follow.
        auth: Who may call.
        throttle: How many requests are accepted.
        cors: Which web pages may call.
        access_log_group: Where the access log goes.

    Attributes:
        api: The `HttpApi` or `RestApi`.
        stage: Its stage.
        url: Base URL, beginning with https:// and without a slash at its end.
        access_log_group: Where the access log goes.
        api_key: The key, with `ApiAuth.api_key()`; else None.
        usage_plan: The key's plan, with `ApiAuth.api_key()`; else None.

    Raises:
        InvalidInferenceConfig: See `InferenceApi`.
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
        alias: lambda_.IAlias,
        timeout: Duration,
        routes: Routes,
        description: str,
        api_type: AnyApiType | None,
        auth: AnyApiAuth | None,
        throttle: Throttle | None,
        cors: Cors | None,
        access_log_group: logs.ILogGroup | None,
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
        if isinstance(auth, NoAuth):
            description += f". No authentication: {auth.reason}"
        parts: _http_api.HttpApiParts | _rest_api.RestApiParts
        if isinstance(api_type, RestApiType):
            parts = rest = _rest_api.build(
                self,
                name=name,
                description=description,
                api_type=api_type,
                alias=alias,
                routes=routes,
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
                alias=alias,
                routes=routes,
                auth=auth,
                throttle=throttle,
                cors=cors,
                access_log_group=self.access_log_group,
            )
            self.api_key = self.usage_plan = None
        self.api, self.stage, self.url = parts.api, parts.stage, parts.url
        self._api_type = api_type
        self._integration_timeout = integration_timeout(api_type)
        self._routes = routes
        self._execute_arn = parts.execute_arn
        self._warn(timeout)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allows `grantee` to call all routes of the stage. Only has an effect if callers use IAM."""
        return self._grant(grantee, [self._execute_arn])

    def _add_routes(self, construct_id: str, alias: lambda_.IAlias, routes: Routes) -> None:
        """Adds routes that invoke another alias."""
        if isinstance(self._api_type, RestApiType):
            assert isinstance(self.api, apigateway.RestApi)
            _rest_api.add_routes(self.api, alias, routes, timeout=self._api_type.integration_timeout)
        else:
            assert isinstance(self.api, apigatewayv2.HttpApi)
            _http_api.add_routes(self.api, construct_id, alias, routes)
        self._routes = (*self._routes, *routes)

    def _grant_routes(self, grantee: iam.IGrantable, routes: Iterable[Route]) -> iam.Grant:
        """Allows `grantee` to call these routes.

        In IAM an asterisk stands for any number of segments, so routes with a version need no statements of their own.
        """
        return self._grant(
            grantee,
            [
                self.api.arn_for_execute_api(
                    method=method, path=re.sub(r"{\w+}", "*", path), stage=self.stage.stage_name
                )
                for method, path in routes
                if "/versions/" not in path
            ],
        )

    def _grant(self, grantee: iam.IGrantable, resource_arns: list[str]) -> iam.Grant:
        return iam.Grant.add_to_principal(grantee=grantee, actions=["execute-api:Invoke"], resource_arns=resource_arns)

    def _warn(self, timeout: Duration) -> None:
        if isinstance(self._api_type, RestApiType) and not self._api_type.account_log_role:
            Annotations.of(self).add_info_v2(
                _warnings.API_LOG_ROLE,
                "API Gateway writes the access logs of a REST API with a role that is set once for an account and "
                "region. If there is none the deployment fails: set one, or use "
                "ApiType.rest_api(account_log_role=True).",
            )
        if self._integration_timeout.is_unresolved() or timeout.is_unresolved():
            return
        limit = self._integration_timeout.to_milliseconds()
        if timeout.to_milliseconds() <= limit:
            return
        Annotations.of(self).add_warning_v2(
            _warnings.FUNCTION_OUTLIVES_API,
            f"The function may run for {timeout.to_human_string()}, but the API answers clients with an error after "
            f"{limit / 1000:g} s, while the function runs on and is billed. Give the function a timeout of at most "
            f"{limit / 1000:g} s, unless it also serves others than this API.",
        )


def integration_timeout(api_type: AnyApiType) -> Duration:
    """How long an API of this type waits for a function."""
    if not isinstance(api_type, RestApiType):
        return Duration.millis(_http_api.TIMEOUT_MS)
    return api_type.integration_timeout or Duration.millis(_rest_api.DEFAULT_TIMEOUT_MS)
