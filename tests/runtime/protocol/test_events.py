"""Every source's events are read, and answered in its own shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnx_handler.errors import InvalidInput, PayloadTooLarge
from onnx_handler.protocol.events import RESPONSE_LIMIT, Response, read, write
from tests.support import events


@pytest.mark.parametrize("source", events.SOURCES)
@pytest.mark.parametrize("body", [b"", b'{"text": "\xc3\xa9"}', b"\x00\xff\xfe binary"])
def test_reads_method_path_headers_and_body(source: events.Builder, body: bytes) -> None:
    request = read(source("POST", "/v2/models/digits/infer", {"Inference-Header-Content-Length": "7"}, body))
    assert request.method == "POST"
    assert request.path.endswith("/v2/models/digits/infer")
    assert request.headers["inference-header-content-length"] == "7"
    assert request.body == body


def test_joins_repeated_headers() -> None:
    event = events.rest_api("GET", "/v2", {}, b"") | {"multiValueHeaders": {"Accept-Encoding": ["br", "gzip"]}}
    assert read(event).headers == {"accept-encoding": "br,gzip"}


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"Records": []},
        {"httpMethod": "GET"},
        {"httpMethod": 3, "path": "/v2"},
        {"requestContext": {"http": {}}},
        {"requestContext": {"http": {"method": "GET"}}, "rawPath": "/v2", "headers": "no"},
        events.http_api("POST", "/v2", {}, b"") | {"body": 3},
        events.http_api("POST", "/v2", {}, b"") | {"body": "a", "isBase64Encoded": True},
    ],
)
def test_refuses_what_is_not_an_http_event(event: Any) -> None:
    with pytest.raises(InvalidInput):
        read(event)


def test_load_balancers_get_a_status_description() -> None:
    response = Response(404, {"Content-Type": "application/json"}, b"{}", text=True)
    single = write(events.load_balancer("GET", "/x", {}, b""), response)
    assert single["statusDescription"] == "404 Not Found"
    assert single["headers"] == {"Content-Type": "application/json"}
    many = write(events.load_balancer_multi_value("GET", "/x", {}, b""), response)
    assert many["multiValueHeaders"] == {"Content-Type": ["application/json"]}
    assert "headers" not in many


@pytest.mark.parametrize("text", [True, False])
def test_an_answer_past_the_limit_is_refused_before_lambda_does(text: bool) -> None:
    event = events.http_api("GET", "/v2", {}, b"")
    fits = (RESPONSE_LIMIT - 8192) * (1 if text else 3) // (1 if text else 4)
    answer = write(event, Response(200, {}, b"1" * fits, text))
    assert len(json.dumps(answer)) <= RESPONSE_LIMIT
    with pytest.raises(PayloadTooLarge, match="binary outputs"):
        write(event, Response(200, {}, b"1" * (fits + 8192), text))


def test_the_limit_counts_what_the_envelope_escapes() -> None:
    with pytest.raises(PayloadTooLarge):
        write({}, Response(200, {}, b'"' * (RESPONSE_LIMIT * 2 // 3), text=True))
