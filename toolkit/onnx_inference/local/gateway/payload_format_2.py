"""Payload format 2.0: the event and response of HTTP APIs and function URLs."""

import base64
import binascii
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})


class InvalidResponse(ValueError):
    """The function's answer is none that the API can turn into an HTTP response."""


@dataclass(frozen=True)
class RequestIdentity:
    """What the API knows of itself and of one request, beside the request."""

    account: str
    api_id: str
    domain_name: str
    stage: str
    route_key: str
    path: str
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    authorizer: Mapping[str, Any] | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def time(self) -> str:
        """The request's time in the common log format."""
        return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.epoch_ms / 1000))


def request_event(request: HttpRequest, identity: RequestIdentity) -> dict[str, Any]:
    """The event of one request.

    Args:
        request: The request.
        identity: The rest of what the event holds; its `path` begins with the stage, when that is a named one.
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
        default_content_type: The content type of an object with `statusCode` that names none.

    Raises:
        InvalidResponse: It is no JSON, or an object with `statusCode` whose members do not fit.
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


def status_code(value: object) -> int:
    """The status of a function's answer.

    Raises:
        InvalidResponse: It is no HTTP status.
    """
    try:
        status = int(str(value))
    except ValueError:
        raise InvalidResponse(f"statusCode {value!r}") from None
    if not 100 <= status <= 599:
        raise InvalidResponse(f"statusCode {value!r}")
    return status


def header_value(value: object) -> str:
    """A header's value: strings as they are, numbers and booleans as JSON writes them."""
    return value if isinstance(value, str) else json.dumps(value)


def decode_body(body: object, *, decode: bool) -> bytes:
    """The bytes of a function's body.

    Raises:
        InvalidResponse: It is no string, or no base64 where that was said.
    """
    if body is None:
        return b""
    if not isinstance(body, str):
        raise InvalidResponse("body is not a string")
    if not decode:
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidResponse("body is not base64") from None


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
