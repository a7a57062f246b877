"""Reads Lambda's HTTP events, and writes answers in the form that the event's source expects.

Sources: API Gateway HTTP API (payload 2.0 and 1.0), REST API (1.0), function URL (2.0), Application Load Balancer.
"""

from __future__ import annotations

from typing import Any

from onnx_handler.errors import InvalidInput, PayloadTooLarge

# Lambda's limit on a synchronous response, in bytes of JSON (AWS Lambda quotas, "Invocation payload").
RESPONSE_LIMIT = 6 * 1024 * 1024
# Bytes that the JSON around a body may need: status, headers, punctuation.
ENVELOPE_ALLOWANCE = 4 * 1024

# The `source` of a warm event. The constructs write the same; a contract test holds the two equal.
WARMER = "cdk-onnx-inference.warmer"

_REASONS = {
    200: "OK",
    202: "Accepted",
    303: "See Other",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Request:  # not a named tuple or a dataclass: Python would generate and compile their code at every cold start
    """An HTTP request: header names in lower case, the body as bytes. The path may be percent-encoded or decoded."""

    __slots__ = ("body", "headers", "method", "path")

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


class Response:
    """An HTTP answer. With `text`, the body is UTF-8 and is sent as it is; otherwise it is sent as base64."""

    __slots__ = ("body", "headers", "status", "text")

    def __init__(self, status: int, headers: dict[str, str], body: bytes, text: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.text = text


def read(event: Any) -> Request:
    """Reads an event of any source.

    Raises:
        InvalidInput: it is not an HTTP event, or its body is not base64 although it says so.
    """
    if not isinstance(event, dict):
        raise _not_http(event)
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    if isinstance(http, dict):  # payload format 2.0: lower-case header names, already joined
        method, path = http.get("method"), event.get("rawPath")
        headers = event.get("headers") or {}
    else:
        method, path = event.get("httpMethod"), event.get("path")
        headers = _joined_headers(event)
    if not isinstance(method, str) or not isinstance(path, str) or not isinstance(headers, dict):
        raise _not_http(event)
    for name, value in headers.items():
        if not isinstance(value, str):
            raise InvalidInput(f"the event's header {name!r:.80} is a {type(value).__name__}; a string is expected")
    return Request(method, path, headers, _body(event))


def query(event: Any, name: str) -> str | None:
    """A parameter of the query string, the last one of this name; None if there is none."""
    raw = event.get("rawQueryString")
    if isinstance(raw, str):
        from urllib.parse import parse_qs

        return parse_qs(raw, keep_blank_values=True).get(name, [None])[-1]
    many, one = event.get("multiValueQueryStringParameters"), event.get("queryStringParameters")
    if isinstance(many, dict) and isinstance(values := many.get(name), list) and values:
        return str(values[-1])
    return str(one[name]) if isinstance(one, dict) and name in one else None


def _joined_headers(event: dict[str, Any]) -> dict[str, str]:
    many = event.get("multiValueHeaders")
    if isinstance(many, dict):
        try:
            return {name.lower(): ",".join(values) for name, values in many.items() if isinstance(values, list)}
        except TypeError as error:
            raise InvalidInput(f"the event's multiValueHeaders hold what is no string: {error}") from None
    headers = event.get("headers")
    return {name.lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body")
    if not body:
        return b""
    if not isinstance(body, str):
        raise InvalidInput(f"the event's body is a {type(body).__name__}; a string is expected")
    encoded = event.get("isBase64Encoded")
    if encoded is True:
        from binascii import a2b_base64  # late: text bodies do not need it

        try:
            return a2b_base64(body, strict_mode=True)
        except ValueError as error:
            raise InvalidInput(f"the event says that its body is base64, but it is not: {error}") from None
    if encoded not in (False, None):
        raise InvalidInput(f"the event's isBase64Encoded is {encoded!r:.40}; true or false is expected")
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the event's body is not Unicode text: {error}") from None


def _not_http(event: Any) -> InvalidInput:
    got = sorted(event)[:8] if isinstance(event, dict) else type(event).__name__
    return InvalidInput(
        f"not an HTTP event (got {got}): this command answers API Gateway payload 1.0 and 2.0, "
        "function URL and load balancer events"
    )


def write(event: Any, response: Response) -> dict[str, Any]:
    """The answer in the form that the event's source expects.

    Raises:
        PayloadTooLarge: the answer is larger than Lambda carries.
    """
    body: str
    if response.text:
        body = response.body.decode()
        size = len(response.body)
        if size > RESPONSE_LIMIT // 2:  # only then can escapes in JSON make it too large
            size += sum(body.count(character) for character in '"\\\n')
    else:
        from binascii import b2a_base64

        body = b2a_base64(response.body, newline=False).decode("ascii")
        size = len(body)
    if size > RESPONSE_LIMIT - ENVELOPE_ALLOWANCE:
        raise PayloadTooLarge(
            f"the answer is {size} bytes on its way through Lambda, which carries {RESPONSE_LIMIT}: ask for fewer "
            "outputs or a smaller batch, for binary outputs, or for gzip (Accept-Encoding)"
        )
    answer: dict[str, Any] = {
        "statusCode": response.status,
        "headers": response.headers,
        "body": body,
        "isBase64Encoded": not response.text,
    }
    if isinstance(event, dict) and isinstance(context := event.get("requestContext"), dict) and "elb" in context:
        answer["statusDescription"] = f"{response.status} {_REASONS.get(response.status, '')}".rstrip()
        if "multiValueHeaders" in event:
            answer["multiValueHeaders"] = {name: [value] for name, value in response.headers.items()}
            del answer["headers"]
    return answer
