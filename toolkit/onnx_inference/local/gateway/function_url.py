"""Function URLs: payload format 2.0 without routes or stages."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.gateway.cors import Cors
from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse
from onnx_inference.local.gateway.integration import Invoke, invoke_within
from onnx_inference.local.gateway.payload import InvalidResponse, RequestIdentity
from onnx_inference.local.gateway.payload_format_2 import http_response, iam_context, request_event
from onnx_inference.local.gateway.signature_v4 import SignatureRejected, SignatureVerifier
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import InvokeError, NotServed, RequestEntityTooLarge, TooManyRequests

_BAD_GATEWAY = HttpResponse(502, (("content-type", "application/json"),), b"Internal Server Error")


@dataclass(frozen=True)
class FunctionUrlDefinition:
    """A function URL as deployed."""

    url_id: str
    url: str
    function: FunctionArn
    auth_type: str
    invoke_mode: str = "BUFFERED"
    cors: Cors | None = None

    @property
    def domain_name(self) -> str:
        """The host name it has on AWS."""
        return f"{self.url_id}.lambda-url.{self.function.region}.on.aws"


def read_function_url(client: Any, function: FunctionArn) -> FunctionUrlDefinition:
    """Read a function's URL through the `lambda` client. The ARN's qualifier is the URL's alias."""
    arguments = {"FunctionName": function.name} | ({"Qualifier": function.qualifier} if function.qualifier else {})
    config: Mapping[str, Any] = client.get_function_url_config(**arguments)
    url = str(config["FunctionUrl"])
    return FunctionUrlDefinition(
        url_id=url.removeprefix("https://").partition(".")[0],
        url=url,
        function=function,
        auth_type=str(config.get("AuthType", "NONE")),
        invoke_mode=str(config.get("InvokeMode", "BUFFERED")),
        cors=Cors.from_api(config.get("Cors")),
    )


class FunctionUrl:
    """Answers the requests to one function URL.

    Args:
        definition: The URL; replaced when a deployment changes it.
        invoke: Runs an invocation.
        verifier: Checks signatures, for the service `lambda`.
        enforce_auth: False lets every request through.
    """

    too_large = HttpResponse(
        413, (("content-type", "application/json"),), b'{"Message":"Request must be smaller than 6291556 bytes"}'
    )

    def __init__(
        self,
        definition: FunctionUrlDefinition,
        invoke: Invoke,
        verifier: SignatureVerifier,
        *,
        enforce_auth: bool = True,
    ) -> None:
        self.definition = definition
        self._invoke = invoke
        self._verifier = verifier
        self._enforce_auth = enforce_auth

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        cors = self.definition.cors
        response = cors.preflight(request) if cors is not None else None
        if response is None:
            response = self._serve(request, request_id)
            if cors is not None:
                response = cors.apply(request, response)
        return response.with_headers([("x-amzn-RequestId", request_id)])

    def _serve(self, request: HttpRequest, request_id: str) -> HttpResponse:
        definition = self.definition
        authorizer = None
        if self._enforce_auth and definition.auth_type == "AWS_IAM":
            try:
                authorizer = {"iam": iam_context(self._verifier.verify(request))}
            except SignatureRejected:
                return _json(403, {"Message": "Forbidden"}, "AccessDeniedException")
        identity = RequestIdentity(
            account=definition.function.account if authorizer else "anonymous",
            api_id=definition.url_id,
            domain_name=definition.domain_name,
            stage="$default",
            route_key="$default",
            path=request.path or "/",
            authorizer=authorizer,
            request_id=request_id,
        )
        try:
            result = invoke_within(self._invoke, definition.function, request_event(request, identity), None)
        except TooManyRequests as error:
            return _json(429, {"Reason": error.reason, "Type": "User", "message": str(error)}, error.code)
        except RequestEntityTooLarge:
            return self.too_large
        except NotServed as error:
            return _json(501, {"Message": str(error)}, error.code)
        except InvokeError:
            return _BAD_GATEWAY
        response = _BAD_GATEWAY
        if result.function_error is None:
            with contextlib.suppress(InvalidResponse):
                response = http_response(result.payload, default_content_type="application/json")
        return HttpResponse(response.status, response.headers, response.body, result.record)


def _json(status: int, value: Mapping[str, str], kind: str) -> HttpResponse:
    body = json.dumps(value, separators=(",", ":")).encode()
    return HttpResponse(status, (("content-type", "application/json"), ("x-amzn-errortype", kind)), body)
