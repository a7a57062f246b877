"""Serves every API and function URL of the deployed stacks, each on a loopback port of its own."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.gateway.function_url import FunctionUrl, FunctionUrlDefinition, read_function_url
from onnx_inference.local.gateway.http_api import DEFAULT_STAGE, HttpApi, HttpApiDefinition, read_http_api
from onnx_inference.local.gateway.http_server import ApiServer, HttpRequest, HttpResponse, RequestRecord
from onnx_inference.local.gateway.integration import Invoke
from onnx_inference.local.gateway.rest_api import RestApi, RestApiDefinition, read_rest_api
from onnx_inference.local.gateway.signature_v4 import SignatureVerifier
from onnx_inference.local.gateway.usage_plans import UsagePlans, read_usage_plans
from onnx_inference.local.lambda_host.function_configuration import FunctionArn

HTTP_API, REST_API, FUNCTION_URL = "HTTP API", "REST API", "Function URL"
_KINDS = {"AWS::ApiGatewayV2::Api": HTTP_API, "AWS::ApiGateway::RestApi": REST_API, "AWS::Lambda::Url": FUNCTION_URL}
_AUTH_NAMES = {"AWS_IAM": "IAM", "NONE": "none", "JWT": "JWT (signature not verified)"}

_Site = HttpApi | RestApi | FunctionUrl


@dataclass(frozen=True)
class DeployedApi:
    """An API among a stack's resources."""

    stack: str
    account: str
    region: str
    kind: str
    logical_id: str
    physical_id: str


def deployed_apis(stack: str, account: str, region: str, resources: Iterable[Mapping[str, Any]]) -> list[DeployedApi]:
    """The APIs and function URLs among the resource summaries of a stack."""
    return [
        DeployedApi(stack, account, region, _KINDS[r["ResourceType"]], r["LogicalResourceId"], r["PhysicalResourceId"])
        for r in resources
        if r["ResourceType"] in _KINDS and r.get("PhysicalResourceId")
    ]


class Gateway:
    """The data plane in front of the Lambda host.

    Args:
        cloud: The embedded cloud, where the APIs are deployed.
        invoke: Runs an invocation.
        enforce_auth: False lets every request through.
        first_port: The port of the first API; the next APIs get the next ports. Default: free ports.
        on_request: Called with the record of each answered request.
    """

    def __init__(
        self,
        cloud: EmbeddedCloud,
        invoke: Invoke,
        *,
        enforce_auth: bool = True,
        first_port: int | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._cloud = cloud
        self._invoke = invoke
        self._enforce_auth = enforce_auth
        self._next_port = first_port
        self._on_request = on_request
        self._sites: dict[DeployedApi, tuple[_Site, ApiServer]] = {}

    def refresh(self, apis: Iterable[DeployedApi]) -> None:
        """Serve these APIs as they are deployed now; an API that was served keeps its port."""
        wanted = list(apis)
        for gone in [api for api in self._sites if api not in wanted]:
            self._sites.pop(gone)[1].stop()
        for api in wanted:
            definition = self._read(api)
            if api in self._sites:
                self._update(api, definition)
            else:
                self._open(api, definition)

    def close(self) -> None:
        """Stop serving."""
        for _, server in self._sites.values():
            server.stop()
        self._sites.clear()

    def endpoints(self) -> list[Endpoint]:
        """What is served, one entry per stage of each API."""
        return [endpoint for api, (site, server) in self._sites.items() for endpoint in _endpoints(api, site, server)]

    def _read(self, api: DeployedApi) -> HttpApiDefinition | RestApiDefinition | FunctionUrlDefinition:
        if api.kind == HTTP_API:
            return read_http_api(self._client("apigatewayv2", api), api.physical_id, api.account, api.region)
        if api.kind == REST_API:
            return read_rest_api(self._client("apigateway", api), api.physical_id, api.account, api.region)
        return read_function_url(self._client("lambda", api), _function_of_url(api))

    def _open(
        self, api: DeployedApi, definition: HttpApiDefinition | RestApiDefinition | FunctionUrlDefinition
    ) -> None:
        credentials = self._cloud.credentials(account=api.account, region=api.region)
        verifier = SignatureVerifier(credentials, "lambda" if api.kind == FUNCTION_URL else "execute-api")
        site: _Site
        if isinstance(definition, HttpApiDefinition):
            site = HttpApi(definition, self._invoke, verifier, enforce_auth=self._enforce_auth)
        elif isinstance(definition, RestApiDefinition):
            plans = UsagePlans(read_usage_plans(self._client("apigateway", api)))
            site = RestApi(definition, self._invoke, verifier, plans, enforce_auth=self._enforce_auth)
        else:
            site = FunctionUrl(definition, self._invoke, verifier, enforce_auth=self._enforce_auth)
        server = ApiServer(
            api.logical_id,
            _answer_of(site),
            too_large=site.too_large,
            port=self._take_port(),
            on_request=self._on_request,
            dimensions=functools.partial(_dimensions, site),
        )
        self._sites[api] = (site, server)

    def _update(
        self, api: DeployedApi, definition: HttpApiDefinition | RestApiDefinition | FunctionUrlDefinition
    ) -> None:
        site = self._sites[api][0]
        site.definition = definition
        if isinstance(site, RestApi):
            keys = read_usage_plans(self._client("apigateway", api))
            if keys != site.usage_plans.keys:
                site.usage_plans = UsagePlans(keys)

    def _client(self, service: str, api: DeployedApi) -> Any:
        return self._cloud.client(service, account=api.account, region=api.region)

    def _take_port(self) -> int:
        if self._next_port is None:
            return 0
        port = self._next_port
        self._next_port += 1
        return port


def _answer_of(site: _Site) -> Callable[[HttpRequest], HttpResponse]:
    return site.answer


def _dimensions(site: _Site, path: str) -> tuple[tuple[str, str], ...]:
    """The dimensions of the metrics that API Gateway publishes for a request to this path."""
    if isinstance(site, FunctionUrl):
        return ()
    first = path.removeprefix("/").partition("/")[0]
    if isinstance(site, HttpApi):
        stage = first if first in site.definition.stages else DEFAULT_STAGE
        return (("ApiId", site.definition.api_id), ("Stage", stage)) if stage in site.definition.stages else ()
    return (("ApiName", site.definition.name), ("Stage", first)) if first in site.definition.stages else ()


def _function_of_url(api: DeployedApi) -> FunctionArn:
    """A function URL's physical id is the function's name or ARN, with the alias when it has one."""
    if api.physical_id.startswith("arn:"):
        return FunctionArn.parse(api.physical_id)
    name, _, qualifier = api.physical_id.partition(":")
    return FunctionArn(api.account, api.region, name, qualifier or None)


def _endpoints(api: DeployedApi, site: _Site, server: ApiServer) -> Iterable[Endpoint]:
    if isinstance(site, FunctionUrl):
        url = site.definition
        note = "" if url.invoke_mode == "BUFFERED" else "response streaming is served buffered"
        yield Endpoint(
            api.kind,
            api.stack,
            api.logical_id,
            f"{server.url}/",
            url.url,
            _AUTH_NAMES[url.auth_type],
            (url.function,),
            note,
        )
        return
    if isinstance(site, HttpApi):
        functions = {route.function for route in site.definition.routes.values()}
        auth = {
            _AUTH_NAMES.get(route.authorization, f"{route.authorization} (not run)")
            for route in site.definition.routes.values()
        }
    else:
        # A mock method answers preflights for everybody. That is not how the functions are protected.
        methods = [method for method in site.definition.methods if method.mock is None]
        functions = {method.function for method in methods}
        auth = {_AUTH_NAMES.get(method.authorization, f"{method.authorization} (not run)") for method in methods}
        if any(method.api_key_required for method in methods):
            auth.add("API key")
    arns = tuple(sorted((f for f in functions if f is not None), key=str))
    note = "" if None not in functions else "some integrations are not served"
    for stage in site.definition.stages:
        path = "/" if stage == DEFAULT_STAGE else f"/{stage}/"
        aws_url = f"https://{site.definition.domain_name}{path}"
        yield Endpoint(
            api.kind, api.stack, api.logical_id, server.url + path, aws_url, ", ".join(sorted(auth)), arns, note
        )
