"""A REST API in front of an alias."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ._access_log import REST_API_FORMAT
from ._routes import Routes
from .api_auth import AnyApiAuth, ApiKeyAuth, IamAuth
from .api_type import RestApiType
from .throttle import Throttle

DEFAULT_TIMEOUT_MS = 29_000
"""The integration timeout of REST APIs, unless the account's quota is raised. https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""


@dataclass(frozen=True, slots=True)
class RestApiParts:
    """What `build` made."""

    api: apigateway.RestApi
    stage: apigateway.Stage
    url: str
    execute_arn: str
    api_key: apigateway.IApiKey | None
    usage_plan: apigateway.UsagePlan | None


def build(
    scope: Construct,
    *,
    name: str,
    description: str,
    api_type: RestApiType,
    alias: lambda_.IAlias,
    routes: Routes,
    auth: AnyApiAuth,
    throttle: Throttle,
    access_log_group: logs.ILogGroup,
) -> RestApiParts:
    """Makes the API, its stage, its methods, one permission to invoke the alias for all of them, and a key if asked."""
    api = apigateway.RestApi(
        scope,
        "RestApi",
        rest_api_name=name,
        description=description,
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        binary_media_types=["*/*"],  # otherwise bodies with binary tensors are decoded as text
        cloud_watch_role=api_type.account_log_role,
        default_method_options=apigateway.MethodOptions(
            authorization_type=(
                apigateway.AuthorizationType.IAM if isinstance(auth, IamAuth) else apigateway.AuthorizationType.NONE
            ),
            api_key_required=True if isinstance(auth, ApiKeyAuth) else None,
        ),
        deploy_options=apigateway.StageOptions(
            stage_name=api_type.stage_name,
            throttling_rate_limit=throttle.rate_limit,
            throttling_burst_limit=throttle.burst_limit,
            access_log_destination=apigateway.LogGroupLogDestination(access_log_group),
            access_log_format=apigateway.AccessLogFormat.custom(REST_API_FORMAT),
            tracing_enabled=True,
        ),
    )
    add_routes(api, alias, routes, timeout=api_type.integration_timeout)
    stage = api.deployment_stage
    stack = Stack.of(scope)
    url = f"https://{api.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}/{stage.stage_name}"
    execute_arn = api.arn_for_execute_api(stage=stage.stage_name)
    if not isinstance(auth, ApiKeyAuth):
        return RestApiParts(api, stage, url, execute_arn, None, None)
    api_key = apigateway.ApiKey(scope, "ApiKey", description=f"For {name}")
    usage_plan = apigateway.UsagePlan(
        scope,
        "UsagePlan",
        api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=stage)],
        throttle=apigateway.ThrottleSettings(rate_limit=throttle.rate_limit, burst_limit=throttle.burst_limit),
    )
    usage_plan.add_api_key(api_key)
    return RestApiParts(api, stage, url, execute_arn, api_key, usage_plan)


def add_routes(api: apigateway.RestApi, alias: lambda_.IAlias, routes: Routes, *, timeout: Duration | None) -> None:
    """Adds methods that invoke an alias, with one permission for all. They have the API's authorisation."""
    integration = apigateway.LambdaIntegration(alias, scope_permission_to_method=False, timeout=timeout)
    for method, path in routes:
        api.root.resource_for_path(path).add_method(method, integration)
