"""Payload format 1.0: the event and response of REST APIs, and of HTTP APIs that ask for it."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse
from onnx_inference.local.gateway.payload import (
    InvalidResponse,
    RequestIdentity,
    decode_body,
    header_value,
    status_code,
)
from onnx_inference.local.gateway.signature_v4 import Caller


def request_event(
    request: HttpRequest,
    identity: RequestIdentity,
    *,
    resource: str,
    path: str,
    body: str | None,
    is_base64: bool,
    caller: Caller | None = None,
    api_key: str | None = None,
) -> dict[str, Any]:
    """The event of one request, without the member `version` that HTTP APIs add.

    Args:
        request: The request.
        identity: The rest of what the event contains. Its `path` begins with the stage.
        resource: The matched resource's path, such as `/{proxy+}`.
        path: The path without the stage.
        body: The body as text or base64; None when there is none.
        is_base64: Whether the body is base64.
        caller: Who signed the request; None when nobody did.
        api_key: The API key of the request.
    """
    query = request.query()
    return {
        "resource": resource,
        "path": unquote(path),
        "httpMethod": request.method,
        "headers": _last(request.headers) or None,
        "multiValueHeaders": _lists(request.headers) or None,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": _lists(query) or None,
        "pathParameters": dict(identity.path_parameters) or None,
        "stageVariables": dict(identity.stage_variables) or None,
        "requestContext": {
            "accountId": identity.account,
            "apiId": identity.api_id,
            "authorizer": None if identity.authorizer is None else dict(identity.authorizer),
            "domainName": identity.domain_name,
            "domainPrefix": identity.domain_name.partition(".")[0],
            "extendedRequestId": identity.request_id,
            "httpMethod": request.method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                "apiKey": api_key,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": request.source_ip,
                "user": None,
                "userAgent": request.header("User-Agent"),
                "userArn": None,
                **_identity_of(caller),
            },
            "path": identity.path,
            "protocol": request.protocol,
            "requestId": identity.request_id,
            "requestTime": identity.time,
            "requestTimeEpoch": identity.epoch_ms,
            "resourceId": None,
            "resourcePath": resource,
            "stage": identity.stage,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def http_response(payload: bytes, *, decode_base64: bool = True) -> HttpResponse:
    """The HTTP response of what the function returned.

    Args:
        payload: The function's answer: an object with `statusCode`.
        decode_base64: Whether a body is decoded if the answer says that it is base64.

    Raises:
        InvalidResponse: It is not such an object.
    """
    try:
        value = json.loads(payload)
    except ValueError:
        raise InvalidResponse("not JSON") from None
    if not isinstance(value, dict) or "statusCode" not in value:
        raise InvalidResponse("no object with statusCode")
    single = {str(name): header_value(v) for name, v in (value.get("headers") or {}).items()}
    multiple = {str(name): [header_value(v) for v in vs] for name, vs in (value.get("multiValueHeaders") or {}).items()}
    headers = [(name, v) for name, vs in multiple.items() for v in vs]
    given = {name.lower() for name in multiple}
    headers += [(name, v) for name, v in single.items() if name.lower() not in given]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    body = decode_body(value.get("body"), decode=decode_base64 and bool(value.get("isBase64Encoded")))
    return HttpResponse(status_code(value["statusCode"]), tuple(headers), body)


def _identity_of(caller: Caller | None) -> dict[str, Any]:
    """The members of `requestContext.identity` of payload format 1.0 that tell who signed."""
    if caller is None:
        return {}
    return {
        "accessKey": caller.access_key,
        "accountId": caller.account,
        "caller": caller.account,
        "user": caller.account,
        "userArn": caller.user_arn,
    }


def _last(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _lists(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    return lists
