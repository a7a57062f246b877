"""Verifies AWS Signature Version 4 with botocore and the twin's own credentials."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from onnx_inference.extras import import_from_extra
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.gateway.http_server import HttpRequest

_ALGORITHM = "AWS4-HMAC-SHA256"
_ALLOWED_SKEW = timedelta(minutes=5)
_FORM = re.compile(rf"{_ALGORITHM} +Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{{64}})")


class SignatureRejected(Exception):
    """The request is not signed (`missing`), or its signature is invalid.

    The message is the one that a REST API gives its client.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        self.missing = missing
        super().__init__(message)


@dataclass(frozen=True)
class Caller:
    """Who signed a request."""

    access_key: str
    account: str

    @property
    def user_arn(self) -> str:
        """The ARN of the caller, which is the account's root user."""
        return f"arn:aws:iam::{self.account}:root"


class SignatureVerifier:
    """Checks the `Authorization` header of requests to one API.

    Args:
        credentials: The one set of credentials that may sign.
        service: `execute-api`, or `lambda` for function URLs.
    """

    def __init__(self, credentials: LocalCredentials, service: str) -> None:
        self._credentials = credentials
        self._service = service
        auth = import_from_extra("botocore.auth", "local")
        keys = import_from_extra("botocore.credentials", "local")
        self._request_type = import_from_extra("botocore.awsrequest", "local").AWSRequest
        self._signer = auth.SigV4Auth(
            keys.Credentials(credentials.access_key_id, credentials.secret_access_key), service, credentials.region
        )

    def verify(self, request: HttpRequest, now: datetime | None = None) -> Caller:
        """Check a request.

        Args:
            request: The request as the client sent it.
            now: The time to check its date against. Default: this machine's time.

        Raises:
            SignatureRejected: It is not signed, or not by these credentials, or was changed since.
        """
        header = request.header("Authorization")
        if header is None:
            raise SignatureRejected("Missing Authentication Token", missing=True)
        match = _FORM.fullmatch(header.strip())
        if match is None:
            raise SignatureRejected("Authorization header requires a SigV4 credential, signed headers and signature.")
        credential, signed_headers, signature = match.groups()
        amz_date = request.header("X-Amz-Date") or ""
        self._check_scope(credential, amz_date, now or datetime.now(UTC))
        names = signed_headers.split(";")
        if "host" not in names:
            raise SignatureRejected("'Host' must be a signed header.")
        self._check_payload_hash(request)
        expected = self._signature(request, names, amz_date)
        if not hmac.compare_digest(expected, signature):
            raise SignatureRejected("The request signature we calculated does not match the signature you provided.")
        return Caller(self._credentials.access_key_id, self._credentials.account)

    def _check_scope(self, credential: str, amz_date: str, now: datetime) -> None:
        parts = credential.split("/")
        if len(parts) != 5 or parts[0] != self._credentials.access_key_id:
            raise SignatureRejected("The security token included in the request is invalid.")
        try:
            signed_at = datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise SignatureRejected("Date must be in the form yyyymmddThhmmssZ.") from None
        if abs(now - signed_at) > _ALLOWED_SKEW:
            raise SignatureRejected(f"Signature expired: {amz_date} is not within 5 min. of the current time.")
        if parts[1:] != [amz_date[:8], self._credentials.region, self._service, "aws4_request"]:
            raise SignatureRejected(
                f"Credential should be scoped to region {self._credentials.region} and service {self._service}."
            )

    def _check_payload_hash(self, request: HttpRequest) -> None:
        claimed = request.header("X-Amz-Content-SHA256")
        if claimed is not None and claimed != hashlib.sha256(request.body).hexdigest():
            raise SignatureRejected("The provided x-amz-content-sha256 header does not match what was computed.")

    def _signature(self, request: HttpRequest, names: list[str], amz_date: str) -> str:
        query = f"?{request.query_string}" if request.query_string else ""
        host = request.header("Host") or ""
        signed = self._request_type(method=request.method, url=f"http://{host}{request.path}{query}", data=request.body)
        for name in names:
            for value in request.header_values(name):
                signed.headers.add_header(name, value)
        signed.context["timestamp"] = amz_date
        canonical = self._signer.canonical_request(signed)
        return str(self._signer.signature(self._signer.string_to_sign(signed, canonical), signed))
