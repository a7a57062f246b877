"""Signatures, which must be those of botocore, and the credentials for them."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from onnx_handler.errors import SourceUnavailable
from onnx_handler.storage import sigv4
from onnx_handler.storage.s3 import address
from onnx_handler.storage.sigv4 import Credentials, signed_headers

keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
tokens = st.none() | st.text("abcDEF123+/=", min_size=1)


@given(
    key=keys,
    bucket=st.sampled_from(["models", "with.dots"]),
    region=st.sampled_from(["eu-central-1", "cn-north-1"]),
    token=tokens,
    endpoint=st.sampled_from([None, "http://127.0.0.1:4566", "https://vpce-1.s3.example.com/base"]),
)
def test_signatures_are_those_of_botocore(
    key: str, bucket: str, region: str, token: str | None, endpoint: str | None
) -> None:
    environment = {"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {}
    where = address(bucket, key, region, environment)
    moment = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
    headers = signed_headers(
        where.host, where.path, {"Range": "bytes=0-9"}, Credentials("AK", "secret", token), region, "20261122T040506Z"
    )
    url = f"{'https' if where.tls else 'http'}://{where.host}{where.path}"
    request = AWSRequest("GET", url, headers={"Range": "bytes=0-9", "x-amz-content-sha256": sigv4._EMPTY})
    request.context["payload_signing_enabled"] = True
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        S3SigV4Auth(BotocoreCredentials("AK", "secret", token), "s3", region).add_auth(request)
    assert headers["authorization"] == request.headers["Authorization"]


class Provider(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "secret token"
        body = json.dumps({"AccessKeyId": "A", "SecretAccessKey": "B", "Token": "C"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_credentials_of_a_container() -> None:
    """What functions with SnapStart have in place of the keys."""
    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/2021-04-23/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret token",
        }
        assert Credentials.from_environment(environment) == ("A", "B", "C")
        thread.join()
    with pytest.raises(SourceUnavailable, match="credentials"):
        Credentials.from_environment(environment)
