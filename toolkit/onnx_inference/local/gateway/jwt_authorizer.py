"""JWT authorizers check issuer, audience, expiry and scopes. The signature cannot be verified offline."""

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.gateway.http_server import HttpRequest


class TokenRejected(Exception):
    """The token is missing or invalid. `forbidden` is true when only its scopes are not sufficient."""

    def __init__(self, *, forbidden: bool = False) -> None:
        self.forbidden = forbidden
        super().__init__("Forbidden" if forbidden else "Unauthorized")


@dataclass(frozen=True)
class JwtAuthorizer:
    """One JWT authorizer of an HTTP API."""

    issuer: str
    audience: tuple[str, ...]
    identity_source: str = "$request.header.Authorization"

    def authorise(self, request: HttpRequest, scopes: Sequence[str], now: float | None = None) -> dict[str, Any]:
        """Check a request's token and return its claims.

        Args:
            request: The request.
            scopes: The route's scopes. The token needs one of them.
            now: The time to check against, in seconds since 1970. Default: this machine's time.

        Raises:
            TokenRejected: There is no token, or it is invalid.
        """
        claims = _claims(self._token(request))
        moment = time.time() if now is None else now
        audiences = claims.get("aud", claims.get("client_id"))
        audiences = {one for one in (audiences if isinstance(audiences, list) else [audiences]) if isinstance(one, str)}
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(begins, int | float):
            raise TokenRejected
        if expires <= moment or begins > moment:
            raise TokenRejected
        if claims.get("iss") != self.issuer or not audiences & set(self.audience):
            raise TokenRejected
        if scopes and not set(scopes) & set(_scopes(claims)):
            raise TokenRejected(forbidden=True)
        return claims

    def _token(self, request: HttpRequest) -> str:
        place, _, name = self.identity_source.removeprefix("$request.").partition(".")
        value = request.header(name) if place == "header" else dict(request.query()).get(name)
        if not value:
            raise TokenRejected
        kind, _, token = value.partition(" ")
        return token if kind.lower() == "bearer" else value


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        payload = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(payload))
    except (IndexError, ValueError):
        raise TokenRejected from None
    if len(parts) != 3 or not isinstance(claims, dict):
        raise TokenRejected
    return claims


def _scopes(claims: dict[str, Any]) -> list[str]:
    value = claims.get("scope", claims.get("scp", ""))
    return [str(v) for v in value] if isinstance(value, list) else str(value).split()
