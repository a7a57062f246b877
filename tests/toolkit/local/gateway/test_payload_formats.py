"""The events, held against the examples that AWS documents, and the responses."""

import base64
import json

import pytest

from onnx_inference.local.gateway import payload_format_1, payload_format_2
from onnx_inference.local.gateway.payload import InvalidResponse, RequestIdentity

# Lambda Developer Guide and API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs":
# the members of the documented events.
DOCUMENTED_2_0 = {
    "version",
    "routeKey",
    "rawPath",
    "rawQueryString",
    "cookies",
    "headers",
    "queryStringParameters",
    "requestContext",
    "body",
    "pathParameters",
    "isBase64Encoded",
    "stageVariables",
}
DOCUMENTED_2_0_CONTEXT = {
    "accountId",
    "apiId",
    "authorizer",
    "domainName",
    "domainPrefix",
    "http",
    "requestId",
    "routeKey",
    "stage",
    "time",
    "timeEpoch",
}
DOCUMENTED_1_0 = {
    "resource",
    "path",
    "httpMethod",
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "requestContext",
    "pathParameters",
    "stageVariables",
    "body",
    "isBase64Encoded",
}
DOCUMENTED_1_0_CONTEXT = {
    "accountId",
    "apiId",
    "authorizer",
    "domainName",
    "domainPrefix",
    "extendedRequestId",
    "httpMethod",
    "identity",
    "path",
    "protocol",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "resourceId",
    "resourcePath",
    "stage",
}


def identity(**changes):
    values = {
        "account": "123456789012",
        "api_id": "api-id",
        "domain_name": "api-id.execute-api.us-east-1.amazonaws.com",
        "stage": "$default",
        "route_key": "ANY /{proxy+}",
        "path": "/my/path",
        "path_parameters": {"proxy": "my/path"},
        "stage_variables": {"stageVariable1": "value1"},
        "authorizer": {"jwt": {"claims": {}, "scopes": None}},
        "request_id": "id",
        "epoch_ms": 1583348638390,
    }
    return RequestIdentity(**{**values, **changes})


@pytest.fixture
def request_(make_request):
    return make_request(
        "POST",
        "/my/path?parameter1=value1&parameter1=value2&parameter2=a%20b",
        headers=[
            ("Header1", "value1"),
            ("header1", "value2"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("Cookie", "cookie1=a; cookie2=b"),
            ("User-Agent", "agent"),
        ],
        body=b'{"a":1}',
    )


def test_format_2_has_the_documented_members(request_):
    event = payload_format_2.request_event(request_, identity())
    assert set(event) == DOCUMENTED_2_0
    assert set(event["requestContext"]) == DOCUMENTED_2_0_CONTEXT
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/my/path"
    assert event["rawQueryString"] == "parameter1=value1&parameter1=value2&parameter2=a%20b"
    assert event["queryStringParameters"] == {"parameter1": "value1,value2", "parameter2": "a b"}
    assert event["cookies"] == ["cookie1=a", "cookie2=b"]
    assert event["headers"]["header1"] == "value1,value2"
    assert "cookie" not in event["headers"]
    assert all(name == name.lower() for name in event["headers"])
    assert event["requestContext"]["http"] == {
        "method": "POST",
        "path": "/my/path",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "agent",
    }
    assert event["requestContext"]["time"] == "04/Mar/2020:19:03:58 +0000"
    assert event["requestContext"]["domainPrefix"] == "api-id"
    assert (event["body"], event["isBase64Encoded"]) == ('{"a":1}', False)


def test_format_2_leaves_out_what_there_is_not(make_request):
    event = payload_format_2.request_event(
        make_request(), identity(path_parameters={}, stage_variables={}, authorizer=None)
    )
    absent = {"cookies", "queryStringParameters", "body", "pathParameters", "stageVariables"}
    assert set(event) == DOCUMENTED_2_0 - absent
    assert "authorizer" not in event["requestContext"]
    assert event["isBase64Encoded"] is False


@pytest.mark.parametrize(
    ("content_type", "is_base64"),
    [
        ("application/json", False),
        ("Application/JSON; charset=utf-8", False),
        ("application/xml", False),
        ("application/javascript", False),
        ("text/plain", False),
        ("application/octet-stream", True),
        ("application/x-www-form-urlencoded", True),
        ("image/png", True),
        (None, True),
    ],
)
def test_the_content_type_decides_over_base64(make_request, content_type, is_base64):
    headers = {} if content_type is None else {"Content-Type": content_type}
    body, encoded = payload_format_2.encode_body(make_request("POST", headers=headers, body=b"abc"))
    assert encoded is is_base64
    assert body == ("YWJj" if is_base64 else "abc")


def test_format_1_has_the_documented_members(request_):
    event = payload_format_1.request_event(
        request_,
        identity(stage="prod", path="/prod/my/path"),
        resource="/{proxy+}",
        path="/my/path",
        body="b",
        is_base64=False,
    )
    assert set(event) == DOCUMENTED_1_0
    assert set(event["requestContext"]) == DOCUMENTED_1_0_CONTEXT
    assert event["multiValueQueryStringParameters"] == {"parameter1": ["value1", "value2"], "parameter2": ["a b"]}
    assert event["queryStringParameters"] == {"parameter1": "value2", "parameter2": "a b"}
    assert event["multiValueHeaders"]["Header1"] == ["value1"]
    assert event["requestContext"]["path"] == "/prod/my/path"
    assert event["path"] == "/my/path"
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def answer(value, **options):
    return payload_format_2.http_response(json.dumps(value).encode(), default_content_type="text/plain", **options)


def test_format_2_answers_of_every_form():
    full = answer(
        {
            "statusCode": 201,
            "headers": {"X-One": 1, "Content-Type": "a/b"},
            "cookies": ["a=1", "b=2"],
            "body": base64.b64encode(b"\x00\xff").decode(),
            "isBase64Encoded": True,
        }
    )
    assert (full.status, full.body) == (201, b"\x00\xff")
    assert full.headers == (("x-one", "1"), ("content-type", "a/b"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))
    bare = answer({"message": "Hello"})
    assert (bare.status, json.loads(bare.body)) == (200, {"message": "Hello"})
    assert bare.headers == (("content-type", "application/json"),)
    assert answer("Hello").body == b"Hello"
    assert answer({"statusCode": 204}).body == b""


@pytest.mark.parametrize(
    "value",
    [
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": None},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "***", "isBase64Encoded": True},
    ],
)
def test_format_2_refuses_what_is_no_response(value):
    with pytest.raises(InvalidResponse):
        answer(value)


def test_format_1_needs_a_status_and_decodes_only_when_told():
    payload = json.dumps({"statusCode": 200, "body": "YWJj", "isBase64Encoded": True}).encode()
    assert payload_format_1.http_response(payload).body == b"abc"
    assert payload_format_1.http_response(payload, decode_base64=False).body == b"YWJj"
    for bad in (b'{"message":"Hello"}', b'"text"', b"null", b"", b"{"):
        with pytest.raises(InvalidResponse):
            payload_format_1.http_response(bad)


def test_format_1_joins_both_kinds_of_headers():
    value = {"statusCode": 200, "headers": {"X-A": "1", "X-B": "2"}, "multiValueHeaders": {"X-B": ["3", "4"]}}
    response = payload_format_1.http_response(json.dumps(value).encode())
    assert response.headers == (("X-B", "3"), ("X-B", "4"), ("X-A", "1"), ("Content-Type", "application/json"))
