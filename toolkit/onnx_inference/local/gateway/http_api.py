"""HTTP APIs (API Gateway v2): routes, authorizers, throttling, CORS and the Lambda proxy integration."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.local.gateway import payload_format_1, payload_format_2
from onnx_inference.local.gateway.cors import Cors
from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse
from onnx_inference.local.gateway.integration import IntegrationTimeout, Invoke, invoke_within
from onnx_inference.local.gateway.jwt_authorizer import JwtAuthorizer, TokenRejected
from onnx_inference.local.gateway.payload import InvalidResponse, RequestIdentity
from onnx_inference.local.gateway.routing import RouteMatch, find_route
from onnx_inference.local.gateway.signature_v4 import Caller, SignatureRejected, SignatureVerifier
from onnx_inference.local.gateway.throttle import Throttles
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import InvokeError, NotServed, RequestEntityTooLarge, TooManyRequests

DEFAULT_STAGE = "$default"
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class HttpApiRoute:
    """One route. `function` is None when its integration is not a Lambda function."""

    key: str
    function: FunctionArn | None
    payload_format: str = "2.0"
    timeout_seconds: float = TIMEOUT_SECONDS
    authorization: str = "NONE"
    scopes: tuple[str, ...] = ()
    jwt: JwtAuthorizer | None = None


@dataclass(frozen=True)
class HttpApiStage:
    """One stage, with its throttling limits per route. The key None has the limits of all other routes."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str | None, tuple[float | None, int | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpApiDefinition:
    """An HTTP API as deployed."""

    api_id: str
    name: str
    account: str
    region: str
    routes: Mapping[str, HttpApiRoute]
    stages: Mapping[str, HttpApiStage]
    cors: Cors | None = None

    @property
    def domain_name(self) -> str:
        """The host name it has on AWS."""
        return f"{self.api_id}.execute-api.{self.region}.amazonaws.com"


def read_http_api(client: Any, api_id: str, account: str, region: str) -> HttpApiDefinition:
    """Read an HTTP API through the `apigatewayv2` client."""
    api = client.get_api(ApiId=api_id)
    integrations = {item["IntegrationId"]: item for item in _items(client, "get_integrations", api_id)}
    authorizers = {item["AuthorizerId"]: item for item in _items(client, "get_authorizers", api_id)}
    routes = {}
    for item in _items(client, "get_routes", api_id):
        integration = integrations.get(str(item.get("Target", "")).rpartition("/")[2], {})
        authorizer = authorizers.get(item.get("AuthorizerId", ""))
        routes[item["RouteKey"]] = HttpApiRoute(
            key=item["RouteKey"],
            function=_function(integration),
            payload_format=integration.get("PayloadFormatVersion", "1.0"),
            timeout_seconds=min(TIMEOUT_SECONDS, integration.get("TimeoutInMillis", 30_000) / 1000),
            authorization=item.get("AuthorizationType", "NONE"),
            scopes=tuple(item.get("AuthorizationScopes") or ()),
            jwt=_jwt(authorizer),
        )
    stages = {item["StageName"]: _stage(item) for item in _items(client, "get_stages", api_id)}
    cors = Cors.from_api(api.get("CorsConfiguration"))
    return HttpApiDefinition(api_id, api["Name"], account, region, routes, stages, cors)


class HttpApi:
    """Answers the requests to one HTTP API.

    Args:
        definition: The API; replaced when a deployment changes it.
        invoke: Runs an invocation.
        verifier: Checks signatures of routes with IAM authorization.
        enforce_auth: False lets every request through.
    """

    too_large = HttpResponse(413, (("content-type", "application/json"),), b'{"message":"Request Entity Too Large"}')

    def __init__(
        self, definition: HttpApiDefinition, invoke: Invoke, verifier: SignatureVerifier, *, enforce_auth: bool = True
    ) -> None:
        self.definition = definition
        self._invoke = invoke
        self._verifier = verifier
        self._enforce_auth = enforce_auth
        self._throttles = Throttles()

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        cors = self.definition.cors
        response = cors.preflight(request) if cors is not None else None
        if response is None:
            response = self._route(request, request_id)
            if cors is not None:
                response = cors.apply(request, response)
        return response.with_headers([("apigw-requestid", request_id)])

    def _route(self, request: HttpRequest, request_id: str) -> HttpResponse:
        definition = self.definition
        stage, path = _stage_of(definition, request.path)
        match = None if stage is None else find_route(definition.routes, request.method, path)
        if stage is None or match is None:
            return _message(404, "Not Found")
        route = definition.routes[match.route_key]
        try:
            caller, authorizer = self._authorise(request, route)
        except (SignatureRejected, TokenRejected) as error:
            unauthorised = isinstance(error, TokenRejected) and not error.forbidden
            return _message(401, "Unauthorized") if unauthorised else _message(403, "Forbidden")
        limits = stage.limits.get(route.key) or stage.limits.get(None) or (None, None)
        if not self._throttles.allows(f"{stage.name} {route.key}", *limits):
            return _message(429, "Too Many Requests")
        if route.function is None:
            return _message(501, f"The local twin serves Lambda proxy integrations only; {route.key} has another.")
        identity = RequestIdentity(
            account=definition.account,
            api_id=definition.api_id,
            domain_name=definition.domain_name,
            stage=stage.name,
            route_key=route.key,
            path=path if stage.name == DEFAULT_STAGE else f"/{stage.name}{path}",
            path_parameters=match.path_parameters,
            stage_variables=stage.variables,
            authorizer=authorizer,
            request_id=request_id,
        )
        event = _event(request, identity, route, match, caller)
        return self._integrate(route, route.function, event)

    def _integrate(self, route: HttpApiRoute, function: FunctionArn, event: Mapping[str, Any]) -> HttpResponse:
        try:
            result = invoke_within(self._invoke, function, event, route.timeout_seconds)
        except (IntegrationTimeout, TooManyRequests):
            return _message(503, "Service Unavailable")
        except RequestEntityTooLarge:
            return self.too_large
        except NotServed as error:
            return _message(501, str(error))
        except InvokeError:
            return _message(500, "Internal Server Error")
        failed = _message(500, "Internal Server Error")
        if result.function_error is None:
            try:
                if route.payload_format == "1.0":
                    response = payload_format_1.http_response(result.payload)
                else:
                    response = payload_format_2.http_response(
                        result.payload, default_content_type="text/plain;charset=utf-8"
                    )
            except InvalidResponse:
                response = failed
        else:
            response = failed
        return HttpResponse(response.status, response.headers, response.body, result.record)

    def _authorise(self, request: HttpRequest, route: HttpApiRoute) -> tuple[Caller | None, Mapping[str, Any] | None]:
        if not self._enforce_auth or route.authorization == "NONE":
            return None, None
        if route.authorization == "AWS_IAM":
            caller = self._verifier.verify(request)
            return caller, {"iam": payload_format_2.iam_context(caller)}
        if route.authorization == "JWT" and route.jwt is not None:
            claims = route.jwt.authorise(request, route.scopes)
            texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in claims.items()}
            return None, {"jwt": {"claims": texts, "scopes": list(route.scopes) or None}}
        raise TokenRejected(forbidden=True)


def _event(
    request: HttpRequest,
    identity: RequestIdentity,
    route: HttpApiRoute,
    match: RouteMatch,
    caller: Caller | None,
) -> dict[str, Any]:
    if route.payload_format != "1.0":
        return payload_format_2.request_event(request, identity)
    body, is_base64 = payload_format_2.encode_body(request)
    resource = match.route_key.partition(" ")[2] or match.route_key
    event = payload_format_1.request_event(
        request,
        identity,
        resource=resource,
        path=identity.path,
        body=body,
        is_base64=is_base64,
        caller=caller,
    )
    return {"version": "1.0", **event}


def _stage_of(definition: HttpApiDefinition, path: str) -> tuple[HttpApiStage | None, str]:
    """The stage that a path belongs to, and the path within it."""
    first, slash, rest = path.removeprefix("/").partition("/")
    named = definition.stages.get(first)
    if named is not None and first != DEFAULT_STAGE:
        return named, slash + rest if slash else "/"
    return definition.stages.get(DEFAULT_STAGE), path or "/"


def _items(client: Any, operation: str, api_id: str) -> list[dict[str, Any]]:
    pages = client.get_paginator(operation).paginate(ApiId=api_id)
    return [item for page in pages for item in page.get("Items", ())]


def _function(integration: Mapping[str, Any]) -> FunctionArn | None:
    if integration.get("IntegrationType") != "AWS_PROXY" or integration.get("IntegrationSubtype"):
        return None
    try:
        return FunctionArn.from_integration_uri(integration["IntegrationUri"])
    except (KeyError, ValueError):
        return None


def _jwt(authorizer: Mapping[str, Any] | None) -> JwtAuthorizer | None:
    if authorizer is None or authorizer.get("AuthorizerType") != "JWT":
        return None
    configuration = authorizer.get("JwtConfiguration") or {}
    sources: Sequence[str] = authorizer.get("IdentitySource") or ["$request.header.Authorization"]
    source = sources if isinstance(sources, str) else sources[0]
    return JwtAuthorizer(str(configuration.get("Issuer")), tuple(configuration.get("Audience") or ()), source)


def _stage(item: Mapping[str, Any]) -> HttpApiStage:
    settings = {None: item.get("DefaultRouteSettings") or {}, **(item.get("RouteSettings") or {})}
    limits = {
        key: (value.get("ThrottlingRateLimit"), value.get("ThrottlingBurstLimit"))
        for key, value in settings.items()
        if value.get("ThrottlingRateLimit") is not None
    }
    return HttpApiStage(item["StageName"], dict(item.get("StageVariables") or {}), limits)


def _message(status: int, message: str) -> HttpResponse:
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return HttpResponse(status, (("content-type", "application/json"),), body)
