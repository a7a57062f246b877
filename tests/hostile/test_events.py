"""Events that no source of AWS would send, but anybody who may invoke the function can."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from tests.hostile.conftest import GOOD, Target
from tests.support import events

PATH = "/v2/models/model/infer"
BODY = json.dumps(GOOD).encode()


def event(**members: Any) -> events.Event:
    return {**events.http_api("POST", PATH, {}, BODY), **members}


@pytest.mark.parametrize("name", ["content-encoding", "inference-header-content-length", "accept-encoding", "other"])
@pytest.mark.parametrize("value", [3, None, True, [], ["gzip"], {"a": 1}, 1e400])
def test_a_header_that_is_no_string(target: Target, name: str, value: Any) -> None:
    assert f"header '{name}' is a" in target.refused_event(event(headers={name: value}))[1]
    for single in (events.rest_api, events.load_balancer):
        refused = {**single("POST", PATH, {}, BODY), "headers": {name: value}, "multiValueHeaders": None}
        assert f"header '{name}' is a" in target.refused_event(refused)[1]


@pytest.mark.parametrize("values", [[1], [None], [["gzip"]], ["gzip", 1], [{}]])
def test_multi_value_headers_that_are_no_strings(target: Target, values: Any) -> None:
    for many in (events.rest_api, events.load_balancer_multi_value):
        refused = {**many("POST", PATH, {}, BODY), "multiValueHeaders": {"Content-Encoding": values}}
        assert "multiValueHeaders hold what is no string" in target.refused_event(refused)[1]


@pytest.mark.parametrize("body", [3, True, ["{}"], {"inputs": []}, 1.5])
@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_that_is_no_string(target: Target, body: Any, encoded: bool) -> None:
    assert "a string is expected" in target.refused_event(event(body=body, isBase64Encoded=encoded))[1]


@pytest.mark.parametrize("body", ["\ud800", '{"id": "\udfff"}'])
def test_a_body_that_is_no_unicode(target: Target, body: str) -> None:
    assert "not Unicode text" in target.refused_event(event(body=body))[1]


@pytest.mark.parametrize("encoded", ["true", "false", "", 0.5, 2, [], {}])
def test_is_base64_encoded_is_no_boolean(target: Target, encoded: Any) -> None:
    sent = event(body=b64encode(BODY).decode(), isBase64Encoded=encoded)
    assert "isBase64Encoded is" in target.refused_event(sent)[1]


GOOD_BASE64 = b64encode(BODY).decode().rstrip("=")
PADDING = "=" * (-len(GOOD_BASE64) % 4)


@pytest.mark.parametrize(
    "body",
    [
        "a",
        "ab=",
        "=ab=",
        "é===",
        "\ud800===",
        "!" + GOOD_BASE64 + PADDING,
        GOOD_BASE64 + PADDING + "!!!!",
        GOOD_BASE64[:8] + "\n" + GOOD_BASE64[8:] + PADDING,
        GOOD_BASE64[:8] + "=" + GOOD_BASE64[8:] + PADDING,
        GOOD_BASE64 + PADDING + "AAAA" if PADDING else GOOD_BASE64 + "=",
        GOOD_BASE64[:8] + "-_" + GOOD_BASE64[8:],
    ],
)
def test_base64_with_junk_in_it(target: Target, body: str) -> None:
    assert "base64, but it is not" in target.refused_event(event(body=body, isBase64Encoded=True))[1]


@pytest.mark.parametrize("body", [None, "", 0, False, [], {}])
def test_no_body_at_all(target: Target, body: Any) -> None:
    for encoded in (True, False, None):
        assert "not JSON" in target.refused_event(event(body=body, isBase64Encoded=encoded))[1]
