"""GETs from S3, signed here: what boto3 does for a model, without the third of a second that importing it takes.

Signature: AWS "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)". Read from the
environment, as every SDK does: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or
AWS_CONTAINER_CREDENTIALS_FULL_URI with its token (SnapStart); AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_CA_BUNDLE.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import ssl
from collections.abc import Callable, Mapping
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from random import uniform
from time import gmtime, monotonic, sleep, strftime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from onnx_handler import __version__
from onnx_handler.errors import AccessDenied, ModelUnusable, SourceUnavailable

ATTEMPTS = 4
FIRST_PAUSE = 0.1  # seconds; doubles, and each is varied so that many functions do not ask again at once
CONNECT_TIMEOUT = 2.0  # seconds; all attempts together stay below the 10 s of an init phase, so that it can tell why
TIMEOUT = 10.0  # seconds without a byte
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
# IAM: "changes ... might not be immediately visible everywhere": a role that was just given its policy is denied for up
# to about a minute. Nothing in the answer tells this from a permission that is missing.
LONGEST_DENIED_PAUSE = 2.0
_EMPTY = sha256(b"").hexdigest()
_FAILURES = (OSError, HTTPException)


class Credentials(NamedTuple):
    """Whose requests these are."""

    access_key: str
    secret_key: str
    token: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """Reads them.

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
        except (*_FAILURES, ValueError, LookupError, TypeError) as error:
            raise SourceUnavailable(f"the credentials at {uri} cannot be had: {error!r}") from None
        finally:
            connection.close()


class Address(NamedTuple):
    """Where an object is asked for."""

    tls: bool
    host: str  # with the port, where it is not the scheme's
    path: str  # encoded


def address(bucket: str, key: str, region: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The bucket as a host of its own on AWS; as the path's first part at an endpoint that the environment names."""
    path = "/" + quote(key, safe="/~")
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        split = urlsplit(endpoint)
        return Address(split.scheme != "http", split.netloc, f"{split.path.rstrip('/')}/{bucket}{path}")
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    if "." in bucket:  # which no certificate covers as a host
        return Address(True, host, f"/{bucket}{path}")
    return Address(True, f"{bucket}.{host}", path)


def signed_headers(
    where: Address, headers: Mapping[str, str], credentials: Credentials, region: str, moment: str
) -> dict[str, str]:
    """The headers of a GET, with their signature.

    Args:
        where: the address.
        headers: others that are to be sent; all of them are signed.
        credentials: to sign with.
        region: the bucket's.
        moment: now, as `YYYYMMDDTHHMMSSZ`.
    """
    sent = {"host": where.host, "x-amz-content-sha256": _EMPTY, "x-amz-date": moment}
    sent |= {name.lower(): value for name, value in headers.items()}
    if credentials.token:
        sent["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(sent))
    lines = "".join([f"{name}:{sent[name]}\n" for name in sorted(sent)])
    request = f"GET\n{where.path}\n\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for step in (*scope.split("/"), to_sign):
        key = hmac.digest(key, step.encode(), "sha256")
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    return sent


class Source:
    """What a model's downloads have in common: region, credentials, trust, and how long they put up with a denial.

    Args:
        environment: read for all the rest.
        patience: seconds from now in which S3's AccessDenied is asked again.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, patience: float = 0.0) -> None:
        """Reads the environment.

        Raises:
            ModelUnusable: there are no credentials, or the certificates to trust cannot be read.
        """
        self.environment = environment
        self.patience = patience
        self.patient_until = monotonic() + patience
        self.region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        self.credentials = Credentials.from_environment(environment)
        self._trust: ssl.SSLContext | None = None

    def trust(self) -> ssl.SSLContext:
        """The certificates to trust; reading them takes longer than a request."""
        if self._trust is None:
            bundle = self.environment.get("AWS_CA_BUNDLE")
            try:
                self._trust = ssl.create_default_context(cafile=bundle)
            except OSError as error:
                raise ModelUnusable(f"AWS_CA_BUNDLE {bundle!r} cannot be read: {error}") from None
        return self._trust


class Reader:
    """One thread's connection to S3. It is kept between requests, as long as they go to one bucket.

    Args:
        source: see there.
        check: called between reads; raises to give up.
    """

    def __init__(self, source: Source, check: Callable[[], None]) -> None:
        self._source = source
        self._check = check
        self._connection: HTTPConnection | None = None
        self._connected_to = ""

    def read(
        self,
        bucket: str,
        key: str,
        size: int,
        span: tuple[int, int],
        buffer: memoryview,
        sink: Callable[[memoryview, int], None],
    ) -> None:
        """Reads a part of an object, and asks again for what is missing when a connection breaks.

        Args:
            bucket: its bucket.
            key: its key.
            size: bytes that the whole object must have.
            span: first byte, and the one after the last.
            buffer: read into.
            sink: is given what was read, each time, and its place in the object; must not raise an OSError, which
                would be taken for the connection's.

        Raises:
            ModelUnusable: S3 refuses, or the object is another.
            AccessDenied: it refuses for want of a permission, and the source's patience is over.
            SourceUnavailable: it did not answer in several attempts.
        """
        where = address(bucket, key, self._source.region, self._source.environment)
        what = f"s3://{bucket}/{key}"
        at, end = span
        attempt, pause, denied_pause = 1, FIRST_PAUSE, FIRST_PAUSE
        while at < end:
            self._check()
            started_at = at
            try:
                response = self._get(where, at, end)
                if response.status in RETRIED:
                    raise HTTPException(_refusal(response))
                _check_answer(what, response, size, at, end, self._source.patience)
                while at < end:
                    self._check()
                    count = response.readinto(buffer[: end - at])
                    if not count:
                        raise HTTPException(f"the answer ended {end - at} bytes early")
                    sink(buffer[:count], at)
                    at += count
            except _FAILURES as error:
                self.close()
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise ModelUnusable(
                        f"{what}: {where.host} has a certificate that is not trusted: {error}"
                    ) from None
                if at > started_at:  # it goes on, if with interruptions
                    attempt, pause = 1, FIRST_PAUSE
                if attempt == ATTEMPTS:
                    raise SourceUnavailable(
                        f"{what} cannot be read: {error!r}, in the last of {ATTEMPTS} attempts{_hint(error)}"
                    ) from None
                sleep(uniform(pause / 2, pause))
                attempt, pause = attempt + 1, pause * 2
            except AccessDenied:
                self.close()
                if monotonic() >= self._source.patient_until:
                    raise
                sleep(uniform(denied_pause / 2, denied_pause))
                denied_pause = min(denied_pause * 2, LONGEST_DENIED_PAUSE)
            except BaseException:  # an answer half read is of no use to the next request
                self.close()
                raise

    def _get(self, where: Address, at: int, end: int) -> HTTPResponse:
        if self._connection is None or self._connected_to != where.host:
            self.close()
            self._connected_to = where.host
            if where.tls:
                context = self._source.trust()
                self._connection = HTTPSConnection(where.host, timeout=CONNECT_TIMEOUT, context=context)
            else:
                self._connection = HTTPConnection(where.host, timeout=CONNECT_TIMEOUT)
            self._connection.connect()
            self._connection.sock.settimeout(TIMEOUT)
        headers = {"range": f"bytes={at}-{end - 1}", "user-agent": f"cdk-onnx-inference/{__version__}"}
        moment = strftime("%Y%m%dT%H%M%SZ", gmtime())
        signed = signed_headers(where, headers, self._source.credentials, self._source.region, moment)
        self._connection.putrequest("GET", where.path, skip_host=True, skip_accept_encoding=True)
        for name, value in signed.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        return self._connection.getresponse()

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _check_answer(what: str, response: HTTPResponse, size: int, at: int, end: int, patience: float) -> None:
    """Takes what was asked for and nothing else. A redirect is refused: it would be to whom nothing was signed for."""
    if response.status == 206:
        got = response.headers.get("Content-Range", "")
        if got == f"bytes {at}-{end - 1}/{size}":
            return
        raise ModelUnusable(f"{what} is not the object of {size} bytes that it is to be: {got or 'no Content-Range'}")
    if response.status == 200:  # a server without ranges
        length = response.headers.get("Content-Length", "")
        if (at, end) == (0, size) and length == str(size):
            return
        raise ModelUnusable(
            f"{what} came whole, with {length or 'unknown'} bytes; {at} to {end} of {size} were asked for"
        )
    refusal = _refusal(response)
    if response.status in (301, 302, 307, 308):
        region = response.headers.get("x-amz-bucket-region")
        refusal += f"; the bucket is in {region}" if region else "; redirects are not followed"
    elif response.status == 403:
        refusal += "; the function's role needs s3:GetObject on it, and kms:Decrypt on its key; S3 also says this of "
        refusal += "objects that do not exist"
        if refusal.startswith("HTTP 403 AccessDenied"):  # and no wrong signature, or token that has expired
            after = f"; asked again for {patience:.0f} s, in which a new policy spreads" if patience else ""
            raise AccessDenied(f"{what} cannot be read: {refusal}{after}")
    elif response.status == 416:
        refusal += f"; it is to have {size} bytes"
    raise ModelUnusable(f"{what} cannot be read: {refusal}")


def _hint(error: Exception) -> str:
    timed_out = isinstance(error, TimeoutError)
    return "; a function in a VPC reaches S3 by a gateway endpoint" if timed_out else ""


def _refusal(response: HTTPResponse) -> str:
    body = response.read(4096).decode(errors="replace")
    code, message = (re.search(f"<{name}>(.*?)</{name}>", body, re.DOTALL) for name in ("Code", "Message"))
    said = ": ".join(found[1] for found in (code, message) if found)
    return f"HTTP {response.status} {said or response.reason}"
