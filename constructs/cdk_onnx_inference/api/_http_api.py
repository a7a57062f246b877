"""An HTTP API in front of an alias."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ._access_log import HTTP_API_FORMAT
from ._routes import Routes
from .api_auth import AnyApiAuth, IamAuth, JwtAuth
from .cors import Cors
from .throttle import Throttle

TIMEOUT_MS = 30_000
"""The integration timeout of every HTTP API. https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""


@dataclass(frozen=True, slots=True)
class HttpApiParts:
    """What `build` made."""

    api: apigatewayv2.HttpApi
    stage: apigatewayv2.HttpStage
    url: str
    execute_arn: str


def build(
    scope: Construct,
    *,
    name: str,
    description: str,
    alias: lambda_.IAlias,
    routes: Routes,
    auth: AnyApiAuth,
    throttle: Throttle,
    cors: Cors | None,
    access_log_group: logs.ILogGroup,
) -> HttpApiParts:
    """Makes the API, its `$default` stage, its routes, and one permission to invoke the alias for all of them."""
    api = apigatewayv2.HttpApi(
        scope,
        "HttpApi",
        api_name=name,
        description=description,
        create_default_stage=False,
        default_authorizer=_authorizer(auth),
        default_authorization_scopes=[*auth.scopes] if isinstance(auth, JwtAuth) and auth.scopes else None,
        cors_preflight=_preflight(cors),
    )
    stage = apigatewayv2.HttpStage(
        scope,
        "HttpStage",
        http_api=api,
        stage_name="$default",
        auto_deploy=True,
        throttle=apigatewayv2.ThrottleSettings(rate_limit=throttle.rate_limit, burst_limit=throttle.burst_limit),
    )
    # HttpStage's own access_log_settings is a behavioural interface, which Python cannot pass as a struct.
    resource = stage.node.default_child
    assert isinstance(resource, apigatewayv2.CfnStage)
    resource.access_log_settings = apigatewayv2.CfnStage.AccessLogSettingsProperty(
        destination_arn=_arn_without_wildcard(scope, access_log_group), format=HTTP_API_FORMAT
    )
    add_routes(api, "Alias", alias, routes)
    return HttpApiParts(api, stage, api.api_endpoint, api.arn_for_execute_api(stage="$default"))


def add_routes(api: apigatewayv2.HttpApi, construct_id: str, alias: lambda_.IAlias, routes: Routes) -> None:
    """Adds routes that invoke an alias: one integration and one permission for all, and the API's authorizer."""
    integration = integrations.HttpLambdaIntegration(construct_id, alias, scope_permission_to_route=False)
    for method, path in routes:
        api.add_routes(path=path, methods=[apigatewayv2.HttpMethod(method)], integration=integration)


def _authorizer(auth: AnyApiAuth) -> apigatewayv2.IHttpRouteAuthorizer:
    if isinstance(auth, IamAuth):
        return authorizers.HttpIamAuthorizer()
    if isinstance(auth, JwtAuth):
        return authorizers.HttpJwtAuthorizer("Jwt", auth.issuer, jwt_audience=[*auth.audience])
    return apigatewayv2.HttpNoneAuthorizer()


def _preflight(cors: Cors | None) -> apigatewayv2.CorsPreflightOptions | None:
    if cors is None:
        return None
    return apigatewayv2.CorsPreflightOptions(
        allow_origins=[*cors.allow_origins],
        allow_methods=[
            apigatewayv2.CorsHttpMethod.DELETE,
            apigatewayv2.CorsHttpMethod.GET,
            apigatewayv2.CorsHttpMethod.POST,
            apigatewayv2.CorsHttpMethod.PUT,
        ],
        allow_headers=[*cors.allow_headers],
        expose_headers=[*cors.expose_headers],
        max_age=cors.max_age,
    )


def _arn_without_wildcard(scope: Construct, log_group: logs.ILogGroup) -> str:
    """API Gateway needs the ARN of the group itself. `log_group_arn` ends in `:*`, which is for policies."""
    return Stack.of(scope).format_arn(
        service="logs",
        resource="log-group",
        resource_name=log_group.log_group_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
