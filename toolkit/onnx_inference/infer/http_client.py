"""Sends HTTP requests to one endpoint, and signs them when the endpoint asks for that."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from onnx_inference.infer.signing import RequestSigner, service_of


@dataclass(frozen=True)
class Answer:
    """A response. The names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RequestFailed(RuntimeError):
    """The endpoint cannot be reached, or answered with an error; the message is the server's.

    Args:
        message: What went wrong.
        answer: The server's response. Default: there was none.
    """

    def __init__(self, message: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.answer = answer


@dataclass
class EndpointClient:
    """Sends requests to one endpoint.

    Args:
        url: The endpoint, with stage and base path.
        auth: `iam` signs, `none` does not, `auto` signs once the endpoint answers 403 to an unsigned request.
        region: The region to sign for. Default: that of the URL, then that of the AWS configuration.
        headers: Sent with every request.
        timeout_seconds: How long to wait for an answer.

    Raises:
        RequestFailed: The URL is not one of http or https.
        SigningError: With `iam`: there are no credentials, or no region.
    """

    url: str
    auth: str = "auto"
    region: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60.0
    _signer: RequestSigner | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if not is_http_url(self.url):
            raise RequestFailed(f"{self.url!r} is not an http or https URL")
        self.url = self.url.rstrip("/").removesuffix("/v2")
        if self.auth == "iam":
            self._signer = RequestSigner(self.url, service_of(self.url), self.region)

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request and return its answer.

        Args:
            method: The method.
            path: The path after the endpoint's URL, beginning with a slash; a query may follow.
            body: The body.
            headers: Further headers.

        Raises:
            RequestFailed: There was no answer, or its status is 400 or more.
            SigningError: The endpoint asks for a signature, and there are no credentials or no region.
        """
        answer = self._send(method, path, body, headers or {})
        if answer.status == 403 and self.auth != "none":
            for service in self._services(answer):
                self._signer = RequestSigner(self.url, service, self.region)
                answer = self._send(method, path, body, headers or {})
                if answer.status != 403:
                    break
        return succeeded(answer)

    def _services(self, answer: Answer) -> list[str]:
        """The services to sign for after a 403. On loopback the host does not tell a function URL from an API."""
        first = service_of(self.url)
        if urlsplit(self.url).hostname not in ("127.0.0.1", "localhost"):
            return [first] if self._signer is None else []
        return ["lambda", first] if b'"Message"' in answer.body else [first]

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        url = self.url + path
        sent = {"Accept": "application/octet-stream", **headers, **self.headers}
        if self._signer is not None:
            sent = self._signer.headers(method, url, body, sent)
        return send(method, url, body, sent, timeout_seconds=self.timeout_seconds)


def is_http_url(url: str) -> bool:
    """Whether requests can be sent to a URL: http or https, with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port or an IPv6 address
        return False


def send(
    method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, timeout_seconds: float
) -> Answer:
    """Send a request and return its answer, whatever its status.

    Args:
        method: The method.
        url: An http or https URL.
        body: The body.
        headers: The headers.
        timeout_seconds: How long to wait for the connection, and for each read from it.

    Raises:
        RequestFailed: There was no answer.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, lowered, response.read())
    except (OSError, http.client.HTTPException) as error:
        # Without path and query: that of a presigned URL is a secret.
        raise RequestFailed(f"{parts.scheme}://{parts.netloc} cannot be reached: {error}") from error
    finally:
        connection.close()


def succeeded(answer: Answer) -> Answer:
    """The answer, if its status is below 400.

    Raises:
        RequestFailed: It is an error; the message has the status and what the server says.
    """
    if answer.status >= 400:
        reason = http.client.responses.get(answer.status, "")
        raise RequestFailed(f"{answer.status} {reason}: {_message(answer)}", answer)
    return answer


def _message(answer: Answer) -> str:
    """What the server says: `error` of the protocol, `message` of API Gateway, or the body."""
    try:
        value = json.loads(answer.body)
    except ValueError:
        return answer.body.decode(errors="replace").strip()
    if isinstance(value, dict):
        for name in ("error", "message", "Message"):
            if name in value:
                return str(value[name])
    return json.dumps(value)
