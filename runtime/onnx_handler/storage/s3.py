"""Reads objects from S3, without the third of a second that importing boto3 takes.

From the environment it reads the credentials (`sigv4`) and, as every AWS SDK does, AWS_REGION, AWS_ENDPOINT_URL_S3,
AWS_ENDPOINT_URL and AWS_CA_BUNDLE.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from random import uniform
from time import gmtime, monotonic, sleep, strftime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from onnx_handler import __version__
from onnx_handler.errors import AccessDenied, ModelUnusable, SourceUnavailable

from .sigv4 import Credentials, signed_headers

ATTEMPTS = 4
FIRST_PAUSE = 0.1  # seconds; doubles at each attempt, with jitter so that many functions do not retry at once
CONNECT_TIMEOUT = 2.0  # seconds; all attempts take less than the 10 s of an init phase, so that it can report why
TIMEOUT = 10.0  # seconds without a byte
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
# Seconds. IAM: "changes ... might not be immediately visible everywhere". A role with a new policy gets AccessDenied
# for up to about a minute, and the answer is the same as for a missing permission.
LONGEST_DENIED_PAUSE = 2.0
_FAILURES = (OSError, HTTPException)


class Address(NamedTuple):
    """Where an object is."""

    tls: bool
    host: str  # with its port, unless that is the scheme's default
    path: str  # percent-encoded


def address(bucket: str, key: str, region: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Virtual-hosted style on AWS; path style at an endpoint of the environment's, or if the bucket has a dot."""
    path = "/" + quote(key, safe="/~")
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        split = urlsplit(endpoint)
        return Address(split.scheme != "http", split.netloc, f"{split.path.rstrip('/')}/{bucket}{path}")
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    if "." in bucket:  # no certificate covers such a host name
        return Address(True, host, f"/{bucket}{path}")
    return Address(True, f"{bucket}.{host}", path)


class Source:
    """What all connections of one download share: region, credentials, trusted certificates, and patience.

    Args:
        environment: with all settings except `patience`.
        patience: seconds from now in which a request that S3 answers with AccessDenied is repeated.
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
        """The certificates to trust, read only once: that takes longer than a request."""
        if self._trust is None:
            bundle = self.environment.get("AWS_CA_BUNDLE")
            try:
                self._trust = ssl.create_default_context(cafile=bundle)
            except OSError as error:
                raise ModelUnusable(f"AWS_CA_BUNDLE {bundle!r} cannot be read: {error}") from None
        return self._trust


class Reader:
    """One thread's connection to S3. It is kept between requests to the same host.

    Args:
        source: shared by all connections of the download.
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
        """Reads a range of an object. If a connection breaks, it continues with what is missing.

        Args:
            bucket: the object's bucket.
            key: the object's key.
            size: bytes that the whole object must have.
            span: offsets of the first byte, and of the one after the last.
            buffer: for the reads.
            sink: called after each read with its bytes and their offset in the object. Must not raise an OSError,
                which would be taken for one of the connection.

        Raises:
            ModelUnusable: S3 refuses, or the object has another size.
            AccessDenied: a permission is missing, and the source's patience is over.
            SourceUnavailable: S3 did not answer in several attempts.
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
                if at > started_at:  # there is progress, so the attempts start again
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
            except BaseException:  # the next request cannot use a connection with half an answer
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
        signed = signed_headers(where.host, where.path, headers, self._source.credentials, self._source.region, moment)
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
    """Raises unless the answer is what was asked for. A redirect is refused: the signature is not for its host."""
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
        if refusal.startswith("HTTP 403 AccessDenied"):  # not SignatureDoesNotMatch or ExpiredToken
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
