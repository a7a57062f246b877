"""Lambda's HTTP events, as each source documents them (AWS documentation, "Working with ... events")."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

Event = dict[str, Any]
Builder = Callable[[str, str, Mapping[str, str], bytes], Event]


def _body(body: bytes) -> dict[str, Any]:
    try:
        return {"body": body.decode() or None, "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": b64encode(body).decode(), "isBase64Encoded": True}


def http_api(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Event:
    """HTTP API, payload format 2.0, on a named stage: rawPath begins with it."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": f"/prod{path}",
        "rawQueryString": "",
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "http": {"method": method, "path": f"/prod{path}", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "id",
            "stage": "prod",
        },
        **_body(body),
    }


def function_url(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Event:
    """Function URL: payload format 2.0, no stage in the path, and every body in base64."""
    event = http_api(method, path, headers, b"")
    context = {
        **event["requestContext"],
        "stage": "$default",
        "http": {**event["requestContext"]["http"], "path": path},
    }
    return {
        **event,
        "rawPath": path,
        "requestContext": context,
        "body": b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def rest_api(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Event:
    """REST API behind a custom domain's base path: headers as sent, both forms of them."""
    return {
        "resource": "/v2/{proxy+}",
        "path": f"/base{path}",
        "httpMethod": method,
        "headers": dict(headers) or None,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} or None,
        "queryStringParameters": None,
        "requestContext": {"stage": "prod", "path": f"/prod{path}", "identity": {"sourceIp": "192.0.2.1"}},
        **_body(body),
    }


def load_balancer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Event:
    """Application Load Balancer without multi-value headers: the path still percent-encoded, the body a string."""
    return {
        "requestContext": {
            "elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:region:123456789012:targetgroup/t/1"}
        },
        "httpMethod": method,
        "path": quote(path),
        "queryStringParameters": {},
        "headers": {name.lower(): value for name, value in headers.items()},
        **{**_body(body), "body": _body(body)["body"] or ""},
    }


def load_balancer_multi_value(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Event:
    """Application Load Balancer whose target group has multi-value headers on."""
    event = load_balancer(method, path, headers, body)
    event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
    return event


SOURCES: tuple[Builder, ...] = (http_api, function_url, rest_api, load_balancer, load_balancer_multi_value)


def answered(answer: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case, and body of a handler's answer, as its client gets them."""
    headers = answer.get("headers") or {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    body = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    return answer["statusCode"], {name.lower(): value for name, value in headers.items()}, body
