"""Who may call an API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IamAuth:
    """Callers sign their requests and need `execute-api:Invoke`. See `ApiAuth.iam`."""


@dataclass(frozen=True, slots=True)
class JwtAuth:
    """Callers send a token of an OpenID Connect issuer. See `ApiAuth.jwt`."""

    issuer: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiKeyAuth:
    """Callers send a key. See `ApiAuth.api_key`."""


@dataclass(frozen=True, slots=True)
class NoAuth:
    """Everybody may call. See `ApiAuth.none`."""

    reason: str


class ApiAuth:
    """Who may call an API: one of the four forms below."""

    @staticmethod
    def iam() -> IamAuth:
        """Callers sign their requests (AWS Signature Version 4) and need `execute-api:Invoke`. The default."""
        return IamAuth()

    @staticmethod
    def jwt(*, issuer: str, audience: Sequence[str], scopes: Sequence[str] = ()) -> JwtAuth:
        """Callers send a JSON web token: `Authorization: Bearer <token>`. HTTP APIs only.

        Args:
            issuer: URL of the OpenID Connect issuer, beginning with https://, e.g.
                `https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE`.
            audience: Accepted values of the token's `aud` (or `client_id`): at least one.
            scopes: The token must have one of these. Default: scopes are not checked.
        """
        return JwtAuth(
            issuer=issuer, audience=(audience,) if isinstance(audience, str) else tuple(audience), scopes=tuple(scopes)
        )

    @staticmethod
    def api_key() -> ApiKeyAuth:
        """Callers send `x-api-key: <key>`. REST APIs only.

        The construct makes a usage plan with the API's throttle and one key. API Gateway chooses the key's value, and
        only the account can read it. A key identifies and limits callers, but it is sent with every request and does
        not expire, so it is not a strong proof of identity.
        """
        return ApiKeyAuth()

    @staticmethod
    def none(*, reason: str) -> NoAuth:
        """Everybody who knows the URL may call, at the account's cost.

        Args:
            reason: Why that is acceptable here, 1 to 500 characters. It becomes part of the API's description, for
                whoever reviews the template or looks at the console.
        """
        return NoAuth(reason=reason)


AnyApiAuth = IamAuth | JwtAuth | ApiKeyAuth | NoAuth
"""What the factories of `ApiAuth` return."""
