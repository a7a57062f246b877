"""The S3 client: every way in which an answer can be wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Any

import pytest

from onnx_handler.errors import AccessDenied, ModelUnusable, SourceUnavailable
from onnx_handler.storage import s3
from tests.support.s3 import S3, Ask, answer, refuse, serving

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[S3]:
    with serving() as server:
        server.objects["a/model.onnx"] = CONTENT
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "FIRST_PAUSE", 0.001)


def read(
    server: S3,
    key: str = "a/model.onnx",
    size: int = len(CONTENT),
    span: tuple[int, int] | None = None,
    patience: float = 0.0,
) -> bytes:
    got = bytearray(size)

    def sink(content: memoryview, at: int) -> None:
        got[at : at + len(content)] = content

    first, end = span or (0, size)
    reader = s3.Reader(s3.Source(server.environment, patience), lambda: None)
    reader.read("models", key, size, (first, end), memoryview(bytearray(1000)), sink)
    reader.close()
    return bytes(got[first:end])


def test_an_object_and_a_range_of_it(server: S3) -> None:
    assert read(server) == CONTENT
    assert read(server, span=(10, 5001)) == CONTENT[10:5001]
    assert [(ask.first, ask.last) for ask in server.asked] == [(0, len(CONTENT) - 1), (10, 5000)]


@pytest.mark.parametrize(
    ("bucket", "region", "environment", "expected"),
    [
        ("models", "eu-west-1", {}, (True, "models.s3.eu-west-1.amazonaws.com", "/a%20b/%C3%BC~")),
        ("mo.dels", "eu-west-1", {}, (True, "s3.eu-west-1.amazonaws.com", "/mo.dels/a%20b/%C3%BC~")),
        ("models", "cn-north-1", {}, (True, "models.s3.cn-north-1.amazonaws.com.cn", "/a%20b/%C3%BC~")),
        ("models", "x", {"AWS_ENDPOINT_URL": "http://h:1/"}, (False, "h:1", "/models/a%20b/%C3%BC~")),
        (
            "models",
            "x",
            {"AWS_ENDPOINT_URL": "http://h:1/", "AWS_ENDPOINT_URL_S3": "https://i"},
            (True, "i", "/models/a%20b/%C3%BC~"),
        ),
    ],
)
def test_addresses(bucket: str, region: str, environment: dict[str, str], expected: tuple[bool, str, str]) -> None:
    assert s3.address(bucket, "a b/ü~", region, environment) == expected


def test_the_session_token_is_sent_and_signed(server: S3) -> None:
    read(server)
    headers = server.asked[0].headers
    assert headers["x-amz-security-token"] == "token"
    assert "x-amz-security-token" in headers["authorization"]


def nth(times: int, fault: Callable[[BaseHTTPRequestHandler, Ask], Any]) -> Callable[[Any, Ask], bool]:
    """A fault that befalls the first `times` requests."""
    left, lock = [times], threading.Lock()

    def befall(handler: BaseHTTPRequestHandler, ask: Ask) -> bool:
        with lock:
            left[0] -= 1
            if left[0] < 0:
                return False
        fault(handler, ask)
        return True

    return befall


def hang_up(handler: BaseHTTPRequestHandler, ask: Ask) -> None:
    handler.close_connection = True


def stop_early(handler: BaseHTTPRequestHandler, ask: Ask) -> None:
    handler.send_response(206)
    handler.send_header("Content-Length", str(ask.last - ask.first + 1))
    handler.send_header("Content-Range", f"bytes {ask.first}-{ask.last}/{len(CONTENT)}")
    handler.end_headers()
    handler.wfile.write(CONTENT[ask.first : ask.first + 1500])
    handler.close_connection = True


@pytest.mark.parametrize("status", sorted(s3.RETRIED))
def test_a_status_that_may_pass_is_asked_again(server: S3, status: int) -> None:
    server.fault = nth(s3.ATTEMPTS - 1, lambda handler, _: refuse(handler, status, "SlowDown", "Reduce your rate"))
    assert read(server) == CONTENT
    assert len(server.asked) == s3.ATTEMPTS


def test_but_not_for_ever(server: S3) -> None:
    server.fault = nth(99, lambda handler, _: refuse(handler, 503, "SlowDown", "Please reduce your request rate."))
    with pytest.raises(SourceUnavailable, match=r"s3://models/a/model.onnx .*503 SlowDown: Please reduce"):
        read(server)
    assert len(server.asked) == s3.ATTEMPTS


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server: S3) -> None:
    """As long as there is progress, however often."""
    server.fault = nth(6, stop_early)
    assert read(server) == CONTENT
    firsts = [ask.first for ask in server.asked]
    assert len(firsts) == 7
    assert firsts == sorted(set(firsts))


def test_a_connection_closed_without_an_answer(server: S3) -> None:
    server.fault = nth(2, hang_up)
    assert read(server) == CONTENT


def test_nobody_there() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    reader = s3.Reader(s3.Source(environment), lambda: None)
    with pytest.raises(SourceUnavailable, match="refused"):
        reader.read("models", "k", 1, (0, 1), memoryview(bytearray(1)), lambda *_: None)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda h, a: refuse(h, 403, "ExpiredToken", "The provided token has expired."), "ExpiredToken"),
        (lambda h, a: refuse(h, 403, "SignatureDoesNotMatch", "AccessDenied"), "SignatureDoesNotMatch"),
        (lambda h, a: refuse(h, 400, "Bad", "request"), "HTTP 400 Bad: request"),
        (
            lambda h, a: refuse(
                h, 301, "PermanentRedirect", "", Location="http://127.0.0.1:1/", x_amz_bucket_region="us-west-2"
            ),
            "the bucket is in us-west-2",
        ),
        (lambda h, a: refuse(h, 307, "TemporaryRedirect", "", Location="http://127.0.0.1:1/"), "not followed"),
        (lambda h, a: answer(h, CONTENT, f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT) + 1}"), "not the object of"),
        (lambda h, a: answer(h, CONTENT[:5], "bytes 0-4/5"), "not the object of"),
        (lambda h, a: refuse(h, 200, "x", "y"), "came whole"),
    ],
)
def test_what_will_not_pass_is_told_at_once(server: S3, fault: Any, told: str) -> None:
    server.fault = nth(99, fault)
    with pytest.raises(ModelUnusable, match=told) as raised:
        read(server)
    assert not isinstance(raised.value, SourceUnavailable)
    assert "s3://models/a/model.onnx" in str(raised.value)
    assert len(server.asked) == 1


def denied(times: int) -> Callable[[BaseHTTPRequestHandler, Ask], bool]:
    return nth(times, lambda handler, ask: refuse(handler, 403, "AccessDenied", "Access Denied"))


def test_a_denial_is_asked_again_while_a_new_policy_spreads(server: S3) -> None:
    server.fault = denied(10)
    assert read(server, patience=30) == CONTENT
    assert len(server.asked) == 11


def test_a_denial_that_lasts_is_told_when_patience_is_over(server: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "LONGEST_DENIED_PAUSE", 0.05)
    server.fault = denied(10**6)
    started = monotonic()
    with pytest.raises(AccessDenied, match=r"AccessDenied: Access Denied; the function's role .*asked again for 1 s"):
        read(server, patience=0.6)
    assert 0.6 <= monotonic() - started < 2
    assert len(server.asked) > 5


def test_without_patience_a_denial_is_told_at_once(server: S3) -> None:
    server.fault = denied(10**6)
    with pytest.raises(AccessDenied, match=r"s3://models/a/model.onnx .*do not exist$"):
        read(server)
    assert len(server.asked) == 1


def test_a_missing_object(server: S3) -> None:
    with pytest.raises(ModelUnusable, match="404 NoSuchKey"):
        read(server, key="none")


def test_an_object_that_is_shorter(server: S3) -> None:
    with pytest.raises(ModelUnusable, match="not the object of 20000 bytes"):
        read(server, size=20000)
    with pytest.raises(ModelUnusable, match=r"416 InvalidRange.*20000 bytes"):
        read(server, size=20000, span=(15000, 20000))


def test_no_credentials() -> None:
    with pytest.raises(ModelUnusable, match="no credentials"):
        s3.Source({})
