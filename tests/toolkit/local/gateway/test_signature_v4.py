"""Signatures: what botocore signs verifies, and nothing else does."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.gateway.http_server import HttpRequest
from onnx_inference.local.gateway.signature_v4 import SignatureRejected, SignatureVerifier

CREDENTIALS = LocalCredentials("http://127.0.0.1:1", "000000000000", "eu-west-1")
VERIFIER = SignatureVerifier(CREDENTIALS, "execute-api")
HOST = "127.0.0.1:8080"

segments = st.text(string.ascii_letters + string.digits + "-_.~", min_size=1, max_size=8).filter(
    lambda s: set(s) != {"."}
)
paths = st.lists(segments | st.just("a%20b") | st.just("%C3%BC"), max_size=4).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(st.tuples(segments, segments), max_size=3).map(lambda pairs: "&".join(f"{k}={v}" for k, v in pairs))
methods = st.sampled_from(["GET", "POST", "PUT"])
bodies = st.binary(max_size=64)


def signed(sign, method, path, query, body, credentials=CREDENTIALS, service="execute-api"):
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    headers = sign(credentials, method, url, body, service=service, headers={"X-Custom": "one"})
    return HttpRequest(method, path, query, (("Host", HOST), *headers.items()), body, "127.0.0.1")


def changed(request, **changes):
    values = {
        name: getattr(request, name) for name in ("method", "path", "query_string", "headers", "body", "source_ip")
    }
    return HttpRequest(**{**values, **changes})


@settings(max_examples=60, deadline=None)
@given(method=methods, path=paths, query=queries, body=bodies)
def test_what_botocore_signs_verifies(sign, method, path, query, body):
    caller = VERIFIER.verify(signed(sign, method, path, query, body))
    assert caller.access_key == CREDENTIALS.access_key_id


@settings(max_examples=40, deadline=None)
@given(data=st.data(), method=methods, path=paths, query=queries, body=bodies)
def test_whatever_is_changed_after_signing_is_rejected(sign, data, method, path, query, body):
    request = signed(sign, method, path, query, body)
    kind = data.draw(st.sampled_from(["method", "path", "query", "body", "host", "signature", "header"]))
    if kind == "method":
        request = changed(request, method="DELETE")
    elif kind == "path":
        request = changed(request, path=path.rstrip("/") + "/else")
    elif kind == "query":
        request = changed(request, query_string=f"{query}&z=1" if query else "z=1")
    elif kind == "body":
        other = data.draw(bodies)
        assume(other != body)
        request = changed(request, body=other)
    else:
        name = {"host": "Host", "signature": "Authorization", "header": "X-Custom"}[kind]
        flip = {"a": "b"}

        def alter(value):
            return value[:-1] + flip.get(value[-1], "a")

        headers = tuple((n, alter(v) if n == name else v) for n, v in request.headers)
        request = changed(request, headers=headers)
    with pytest.raises(SignatureRejected):
        VERIFIER.verify(request)


def test_no_signature_is_told_apart():
    with pytest.raises(SignatureRejected) as error:
        VERIFIER.verify(HttpRequest("GET", "/", "", (("Host", HOST),), b"", "127.0.0.1"))
    assert error.value.missing
    assert str(error.value) == "Missing Authentication Token"


@pytest.mark.parametrize("value", ["Bearer abc", "AWS4-HMAC-SHA256 nonsense", ""])
def test_other_authorization_headers_are_rejected(value):
    request = HttpRequest("GET", "/", "", (("Host", HOST), ("Authorization", value)), b"", "127.0.0.1")
    with pytest.raises(SignatureRejected):
        VERIFIER.verify(request)


def test_a_signature_holds_for_five_minutes(sign):
    request = signed(sign, "GET", "/", "", b"")
    now = datetime.now(UTC)
    VERIFIER.verify(request, now + timedelta(minutes=4))
    for moment in (now + timedelta(minutes=6), now - timedelta(minutes=6)):
        with pytest.raises(SignatureRejected, match="expired"):
            VERIFIER.verify(request, moment)


def test_other_credentials_services_and_regions_are_rejected(sign):
    stranger = LocalCredentials("http://127.0.0.1:1", "111111111111", "eu-west-1")
    elsewhere = LocalCredentials("http://127.0.0.1:1", "000000000000", "us-east-1")
    with pytest.raises(SignatureRejected, match="security token"):
        VERIFIER.verify(signed(sign, "GET", "/", "", b"", credentials=stranger))
    with pytest.raises(SignatureRejected, match="scoped"):
        VERIFIER.verify(signed(sign, "GET", "/", "", b"", credentials=elsewhere))
    with pytest.raises(SignatureRejected, match="scoped"):
        VERIFIER.verify(signed(sign, "GET", "/", "", b"", service="lambda"))


def test_a_wrong_payload_hash_is_rejected(sign):
    headers = sign(CREDENTIALS, "POST", f"http://{HOST}/", b"a", headers={"X-Amz-Content-SHA256": "0" * 64})
    request = HttpRequest("POST", "/", "", (("Host", HOST), *headers.items()), b"a", "127.0.0.1")
    with pytest.raises(SignatureRejected):
        VERIFIER.verify(request)
