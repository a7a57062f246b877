"""AWS Signature Version 4 for GET requests to S3, and the credentials to sign with.

AWS "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

from onnx_handler.errors import ModelUnusable, SourceUnavailable

TIMEOUT = 10.0  # seconds for the provider of credentials
_EMPTY = sha256(b"").hexdigest()


class Credentials(NamedTuple):
    """The credentials that requests are signed with."""

    access_key: str
    secret_key: str
    token: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """Reads the credentials, as every AWS SDK does.

        They are in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. With SnapStart, Lambda sets
        AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN instead.

        Raises:
            ModelUnusable: there are none.
            SourceUnavailable: their provider does not answer.
        """
        access_key, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if access_key and secret_key:
            return cls(access_key, secret_key, environment.get("AWS_SESSION_TOKEN"))
        if uri := environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            return cls._from_container(uri, environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
        raise ModelUnusable(
            "no credentials to read the model from S3 with: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor "
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
        )

    @classmethod
    def _from_container(cls, uri: str, authorization: str) -> Credentials:
        split = urlsplit(uri)
        connection = HTTPConnection(split.hostname or "", split.port, timeout=TIMEOUT)
        try:
            connection.request("GET", split.path or "/", headers={"Authorization": authorization})
            document = json.load(connection.getresponse())
            return cls(document["AccessKeyId"], document["SecretAccessKey"], document.get("Token"))
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise SourceUnavailable(f"the credentials at {uri} cannot be had: {error!r}") from None
        finally:
            connection.close()


def signed_headers(
    host: str, path: str, headers: Mapping[str, str], credentials: Credentials, region: str, moment: str
) -> dict[str, str]:
    """All headers of a GET without a query string, the signature among them.

    Args:
        host: with its port, unless that is the scheme's default.
        path: percent-encoded.
        headers: further headers to send; all of them are signed.
        credentials: to sign with.
        region: the bucket's.
        moment: the current time in UTC, as `YYYYMMDDTHHMMSSZ`.
    """
    sent = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": moment}
    sent |= {name.lower(): value for name, value in headers.items()}
    if credentials.token:
        sent["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(sent))
    lines = "".join([f"{name}:{sent[name]}\n" for name in sorted(sent)])
    request = f"GET\n{path}\n\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for step in (*scope.split("/"), to_sign):
        key = hmac.digest(key, step.encode(), "sha256")
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    return sent
