"""What both payload formats share: what an API knows of a request, and the parts of a function's answer."""

import base64
import binascii
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class InvalidResponse(ValueError):
    """The API cannot turn the function's answer into an HTTP response."""


@dataclass(frozen=True)
class RequestIdentity:
    """What an event contains besides the request itself: about the API, the route and the caller."""

    account: str
    api_id: str
    domain_name: str
    stage: str
    route_key: str
    path: str
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    authorizer: Mapping[str, Any] | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def time(self) -> str:
        """The request's time in the common log format."""
        return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.epoch_ms / 1000))


def status_code(value: object) -> int:
    """The status of a function's answer.

    Raises:
        InvalidResponse: It is not an HTTP status.
    """
    try:
        status = int(str(value))
    except ValueError:
        raise InvalidResponse(f"statusCode {value!r}") from None
    if not 100 <= status <= 599:
        raise InvalidResponse(f"statusCode {value!r}")
    return status


def header_value(value: object) -> str:
    """A header's value: strings as they are, numbers and booleans as JSON writes them."""
    return value if isinstance(value, str) else json.dumps(value)


def decode_body(body: object, *, decode: bool) -> bytes:
    """The bytes of a function's body.

    Raises:
        InvalidResponse: It is not a string, or not base64 although it has to be.
    """
    if body is None:
        return b""
    if not isinstance(body, str):
        raise InvalidResponse("body is not a string")
    if not decode:
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidResponse("body is not base64") from None
