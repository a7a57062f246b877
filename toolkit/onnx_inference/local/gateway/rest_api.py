"""REST APIs (API Gateway v1): resources, methods, API keys, binary media types and the Lambda proxy integration."""

import base64
import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.local.gateway import payload_format_1
from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse
from onnx_inference.local.gateway.integration import IntegrationTimeout, Invoke, invoke_within
from onnx_inference.local.gateway.payload import InvalidResponse, RequestIdentity
from onnx_inference.local.gateway.routing import ANY, PathPattern
from onnx_inference.local.gateway.signature_v4 import Caller, SignatureRejected, SignatureVerifier
from onnx_inference.local.gateway.throttle import Throttles
from onnx_inference.local.gateway.usage_plans import KeyRejected, PlannedKey, UsagePlans
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import InvokeError, NotServed, RequestEntityTooLarge

_MISSING_TOKEN = "Missing Authentication Token"


@dataclass(frozen=True)
class RestMethod:
    """One method of one resource. For a mock integration `function` is None, and `mock` is the answer."""

    resource: str
    method: str
    function: FunctionArn | None
    timeout_seconds: float = 29.0
    authorization: str = "NONE"
    api_key_required: bool = False
    mock: HttpResponse | None = None


@dataclass(frozen=True)
class RestStage:
    """One stage, with its limits per method (`RESOURCE/METHOD`, or `*/*` for all others)."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, tuple[float | None, int | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class RestApiDefinition:
    """A REST API as deployed."""

    api_id: str
    name: str
    account: str
    region: str
    methods: tuple[RestMethod, ...]
    stages: Mapping[str, RestStage]
    binary_media_types: tuple[str, ...] = ()

    @property
    def domain_name(self) -> str:
        """The host name it has on AWS."""
        return f"{self.api_id}.execute-api.{self.region}.amazonaws.com"


def read_rest_api(client: Any, api_id: str, account: str, region: str) -> RestApiDefinition:
    """Read a REST API through the `apigateway` client."""
    api = client.get_rest_api(restApiId=api_id)
    pages = client.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
    methods = tuple(
        _method(resource["path"], name, method)
        for page in pages
        for resource in page["items"]
        for name, method in (resource.get("resourceMethods") or {}).items()
    )
    stages = {item["stageName"]: _stage(item) for item in client.get_stages(restApiId=api_id)["item"]}
    binary = tuple(str(name).replace("~1", "/") for name in api.get("binaryMediaTypes") or ())
    return RestApiDefinition(api_id, api["name"], account, region, methods, stages, binary)


class RestApi:
    """Answers the requests to one REST API.

    Args:
        definition: The API; replaced when a deployment changes it.
        invoke: Runs an invocation.
        verifier: Checks signatures of methods with IAM authorization.
        usage_plans: The API keys.
        enforce_auth: False lets every request through, also without the API key that a method requires.
    """

    too_large = HttpResponse(
        413, (("Content-Type", "application/json"),), b'{"message":"HTTP content length exceeded 10485760 bytes."}'
    )

    def __init__(
        self,
        definition: RestApiDefinition,
        invoke: Invoke,
        verifier: SignatureVerifier,
        usage_plans: UsagePlans,
        *,
        enforce_auth: bool = True,
    ) -> None:
        self.definition = definition
        self.usage_plans = usage_plans
        self._invoke = invoke
        self._verifier = verifier
        self._enforce_auth = enforce_auth
        self._throttles = Throttles()

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        response = self._route(request, request_id)
        return response.with_headers([("x-amzn-RequestId", request_id), ("x-amz-apigw-id", request_id[:15])])

    def _route(self, request: HttpRequest, request_id: str) -> HttpResponse:
        definition = self.definition
        name, _, rest = request.path.removeprefix("/").partition("/")
        stage, path = definition.stages.get(name), f"/{rest}"
        if stage is None:
            return _error(403, "Forbidden", "ForbiddenException")
        found = self._find(request.method, path)
        if found is None:
            return _error(403, _MISSING_TOKEN, "MissingAuthenticationTokenException")
        method, variables = found
        try:
            caller, key = self._authorise(request, method, stage)
        except SignatureRejected as error:
            return _error(
                403, str(error), "MissingAuthenticationTokenException" if error.missing else "InvalidSignatureException"
            )
        except KeyRejected as error:
            if error.limited:
                return _error(429, "Too Many Requests", "TooManyRequestsException")
            return _error(403, "Forbidden", "ForbiddenException")
        limit_key = f"{method.resource}/{method.method}"
        limits = stage.limits.get(limit_key) or stage.limits.get("*/*") or (None, None)
        if not self._throttles.allows(f"{stage.name} {limit_key}", *limits):
            return _error(429, "Too Many Requests", "TooManyRequestsException")
        if method.function is None:
            return method.mock or _error(
                501,
                f"The local twin serves Lambda proxy and mock integrations only; {limit_key} has another.",
                "NotServed",
            )
        identity = RequestIdentity(
            account=definition.account,
            api_id=definition.api_id,
            domain_name=definition.domain_name,
            stage=stage.name,
            route_key="",
            path=f"/{stage.name}{path}",
            path_parameters=variables,
            stage_variables=stage.variables,
            request_id=request_id,
        )
        body, is_base64 = self._encode(request)
        event = payload_format_1.request_event(
            request,
            identity,
            resource=method.resource,
            path=path,
            body=body,
            is_base64=is_base64,
            caller=caller,
            api_key=None if key is None else key.value,
        )
        return self._integrate(request, method, method.function, event)

    def _integrate(
        self, request: HttpRequest, method: RestMethod, function: FunctionArn, event: Mapping[str, Any]
    ) -> HttpResponse:
        try:
            result = invoke_within(self._invoke, function, event, method.timeout_seconds)
        except IntegrationTimeout:
            return _error(504, "Endpoint request timed out", "IntegrationTimeoutException")
        except RequestEntityTooLarge:
            return _error(413, "Request Too Long", "RequestTooLargeException")
        except NotServed as error:
            return _error(501, str(error), error.code)
        except InvokeError:
            return _error(500, "Internal server error", "InternalServerErrorException")
        response = _error(502, "Internal server error", "InternalServerErrorException")
        if result.function_error is None:
            with contextlib.suppress(InvalidResponse):
                response = payload_format_1.http_response(result.payload, decode_base64=self._wants_binary(request))
        return HttpResponse(response.status, response.headers, response.body, result.record)

    def _find(self, method: str, path: str) -> tuple[RestMethod, dict[str, str]] | None:
        found = []
        for candidate in self.definition.methods:
            if candidate.method not in (method, ANY):
                continue
            pattern = PathPattern(candidate.resource)
            # A REST API serves `/pets/` as `/pets`.
            variables = pattern.match(path)
            if variables is None and path != "/":
                variables = pattern.match(path.rstrip("/"))
            if variables is not None:
                found.append((pattern.specificity, candidate.method == ANY, candidate, variables))
        if not found:
            return None
        _, _, best, variables = min(found, key=lambda entry: entry[:2])
        return best, variables

    def _authorise(
        self, request: HttpRequest, method: RestMethod, stage: RestStage
    ) -> tuple[Caller | None, PlannedKey | None]:
        if not self._enforce_auth:
            return None, None
        caller = None
        if method.authorization == "AWS_IAM":
            caller = self._verifier.verify(request)
        elif method.authorization != "NONE":
            raise SignatureRejected("Unauthorized", missing=True)
        key = None
        if method.api_key_required:
            key = self.usage_plans.check(self.definition.api_id, stage.name, request.header("x-api-key"))
        return caller, key

    def _encode(self, request: HttpRequest) -> tuple[str | None, bool]:
        if not request.body:
            return None, False
        if self._is_binary(request.header("Content-Type") or "application/json"):
            return base64.b64encode(request.body).decode(), True
        return request.body.decode(errors="replace"), False

    def _wants_binary(self, request: HttpRequest) -> bool:
        """Whether a base64 body is decoded for this client. Only the first type of its Accept header counts."""
        return self._is_binary((request.header("Accept") or "application/json").partition(",")[0])

    def _is_binary(self, header: str) -> bool:
        media_type = header.partition(";")[0].strip().lower()
        kind = media_type.partition("/")[0]
        wanted = {"*/*", f"{kind}/*", media_type}
        return any(binary.lower() in wanted for binary in self.definition.binary_media_types)


def _method(resource: str, name: str, method: Mapping[str, Any]) -> RestMethod:
    integration = method.get("methodIntegration") or {}
    function = None
    if integration.get("type") == "AWS_PROXY":
        try:
            function = FunctionArn.from_integration_uri(integration.get("uri", ""))
        except ValueError:
            function = None
    return RestMethod(
        resource=resource,
        method=name,
        function=function,
        timeout_seconds=integration.get("timeoutInMillis", 29_000) / 1000,
        authorization=method.get("authorizationType", "NONE"),
        api_key_required=bool(method.get("apiKeyRequired")),
        mock=_mock(integration),
    )


def _mock(integration: Mapping[str, Any]) -> HttpResponse | None:
    """The answer of a mock integration with one response and fixed headers, as for CORS preflights."""
    responses = integration.get("integrationResponses") or {}
    if integration.get("type") != "MOCK" or not responses:
        return None
    status, response = next(iter(responses.items()))
    prefix = "method.response.header."
    headers = tuple(
        (name.removeprefix(prefix), value[1:-1])
        for name, value in (response.get("responseParameters") or {}).items()
        if name.startswith(prefix) and value[:1] == value[-1:] == "'"
    )
    return HttpResponse(int(status), headers)


def _stage(item: Mapping[str, Any]) -> RestStage:
    limits = {
        key.replace("~1", "/"): (value.get("throttlingRateLimit"), value.get("throttlingBurstLimit"))
        for key, value in (item.get("methodSettings") or {}).items()
        if value.get("throttlingRateLimit") is not None
    }
    return RestStage(item["stageName"], dict(item.get("variables") or {}), limits)


def _error(status: int, message: str, kind: str) -> HttpResponse:
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return HttpResponse(status, (("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)), body)
