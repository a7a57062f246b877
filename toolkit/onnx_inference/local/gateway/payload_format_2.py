"""Payload format 2.0: the event and response of HTTP APIs and function URLs."""

import base64
import json
from typing import Any

from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse
from onnx_inference.local.gateway.payload import (
    InvalidResponse,
    RequestIdentity,
    decode_body,
    header_value,
    status_code,
)
from onnx_inference.local.gateway.signature_v4 import Caller

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})


def request_event(request: HttpRequest, identity: RequestIdentity) -> dict[str, Any]:
    """The event of one request.

    Args:
        request: The request.
        identity: The rest of what the event contains. Its `path` begins with the stage, unless that is `$default`.
    """
    body, is_base64 = encode_body(request)
    context: dict[str, Any] = {
        "accountId": identity.account,
        "apiId": identity.api_id,
        "domainName": identity.domain_name,
        "domainPrefix": identity.domain_name.partition(".")[0],
        "http": {
            "method": request.method,
            "path": identity.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("User-Agent") or "",
        },
        "requestId": identity.request_id,
        "routeKey": identity.route_key,
        "stage": identity.stage,
        "time": identity.time,
        "timeEpoch": identity.epoch_ms,
    }
    if identity.authorizer is not None:
        context["authorizer"] = dict(identity.authorizer)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": identity.route_key,
        "rawPath": identity.path,
        "rawQueryString": request.query_string,
    }
    cookies = [cookie.strip() for value in request.header_values("Cookie") for cookie in value.split(";")]
    if cookies:
        event["cookies"] = [cookie for cookie in cookies if cookie]
    event["headers"] = _headers(request)
    query = _joined(request.query())
    if query:
        event["queryStringParameters"] = query
    event["requestContext"] = context
    if identity.path_parameters:
        event["pathParameters"] = dict(identity.path_parameters)
    if identity.stage_variables:
        event["stageVariables"] = dict(identity.stage_variables)
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = is_base64
    return event


def iam_context(caller: Caller) -> dict[str, Any]:
    """The member `authorizer.iam` of payload format 2.0."""
    return {
        "accessKey": caller.access_key,
        "accountId": caller.account,
        "callerId": caller.account,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.user_arn,
        "userId": caller.account,
    }


def encode_body(request: HttpRequest) -> tuple[str | None, bool]:
    """The body as the event carries it, and whether that is base64: decided by the content type, binary without one."""
    if not request.body:
        return None, False
    media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if media_type in _TEXT_TYPES or media_type.startswith("text/"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def http_response(payload: bytes, *, default_content_type: str) -> HttpResponse:
    """The HTTP response of what the function returned.

    Args:
        payload: The function's answer: an object with `statusCode`, or any JSON, which is then the body.
        default_content_type: The content type of an object with `statusCode` but without a content type.

    Raises:
        InvalidResponse: It is not JSON, or an object with `statusCode` and invalid members.
    """
    try:
        value = json.loads(payload or b"null")
    except ValueError:
        raise InvalidResponse("not JSON") from None
    if not isinstance(value, dict) or "statusCode" not in value:
        text = value if isinstance(value, str) else payload.decode()
        return HttpResponse(200, (("content-type", "application/json"),), text.encode())
    headers = [(str(name).lower(), header_value(v)) for name, v in (value.get("headers") or {}).items()]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", default_content_type))
    headers += [("set-cookie", str(cookie)) for cookie in value.get("cookies") or ()]
    body = decode_body(value.get("body"), decode=bool(value.get("isBase64Encoded")))
    return HttpResponse(status_code(value["statusCode"]), tuple(headers), body)


def _headers(request: HttpRequest) -> dict[str, str]:
    values = [(name.lower(), value) for name, value in request.headers if name.lower() != "cookie"]
    joined = _joined(values)
    joined.setdefault("x-forwarded-for", request.source_ip)
    joined.setdefault("x-forwarded-proto", "http")
    joined.setdefault("x-forwarded-port", (request.header("Host") or "").rpartition(":")[2])
    return joined


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
