"""Checks the arguments of an API. Each kind of API supports only some of them."""

from __future__ import annotations

import re

from aws_cdk import Duration

from cdk_onnx_inference import _validation
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from .api_auth import AnyApiAuth, ApiKeyAuth, JwtAuth, NoAuth
from .api_type import AnyApiType, HttpApiType, RestApiType
from .cors import Cors
from .throttle import Throttle

_STAGE_NAME = re.compile(r"[A-Za-z0-9_]{1,128}")


def check(path: str, *, api_type: AnyApiType, auth: AnyApiAuth, throttle: Throttle, cors: Cors | None) -> list[Problem]:
    """All problems of an API's arguments.

    Args:
        path: The construct's path.
        api_type: See `InferenceApi`.
        auth: See `InferenceApi`.
        throttle: See `InferenceApi`.
        cors: See `InferenceApi`.
    """
    return [
        *_type(f"{path}.api_type", api_type),
        *_auth(f"{path}.auth", auth, api_type),
        *_throttle(f"{path}.throttle", throttle),
        *_cors(f"{path}.cors", cors, api_type),
    ]


def _type(path: str, api_type: AnyApiType) -> list[Problem]:
    if isinstance(api_type, HttpApiType):
        return []
    problems = []
    if not _STAGE_NAME.fullmatch(api_type.stage_name):  # a token fails too: CDK uses the name as a construct id
        problems.append(
            Problem(
                "stage-name",
                f"{path}.stage_name",
                repr(api_type.stage_name),
                "1 to 128 letters, digits and underscores, known at synth",
                "Give e.g. stage_name='live'; it is the first segment of the URL's path.",
            )
        )
    return problems + _integration_timeout(f"{path}.integration_timeout", api_type.integration_timeout)


def _integration_timeout(path: str, value: Duration | None) -> list[Problem]:
    if value is None:
        return []
    allowed = "50 ms to 29 s, or more where the account's quota was raised, up to Lambda's 900 s; as a Duration"
    fix = "Give e.g. Duration.seconds(29). https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"
    if not isinstance(value, Duration):
        return [Problem("api-timeout-range", path, repr(value), allowed, fix)]
    if value.is_unresolved() or 50 <= value.to_milliseconds() <= 900_000:
        return []
    return [Problem("api-timeout-range", path, value.to_human_string(), allowed, fix)]


def _auth(path: str, auth: AnyApiAuth, api_type: AnyApiType) -> list[Problem]:
    if isinstance(auth, NoAuth):
        return _validation.reason(f"{path}.reason", auth.reason)
    if isinstance(auth, ApiKeyAuth) and isinstance(api_type, HttpApiType):
        return [
            Problem(
                "auth-unsupported",
                path,
                "ApiAuth.api_key() with an HTTP API",
                "API keys with a REST API",
                "Use api_type=ApiType.rest_api(), or another auth=.",
            )
        ]
    if not isinstance(auth, JwtAuth):
        return []
    problems = []
    if isinstance(api_type, RestApiType):
        problems.append(
            Problem(
                "auth-unsupported",
                path,
                "ApiAuth.jwt(...) with a REST API",
                "JSON web tokens with an HTTP API",
                "Use api_type=ApiType.http_api(), or another auth=.",
            )
        )
    if not is_unresolved(auth.issuer) and not re.match(r"https://[^\s/]", auth.issuer):
        problems.append(
            Problem(
                "jwt-issuer",
                f"{path}.issuer",
                repr(auth.issuer),
                "the issuer's URL, beginning with https://",
                "Give the value of the tokens' `iss`.",
            )
        )
    return problems + _validation.not_empty(
        "jwt-audience",
        f"{path}.audience",
        auth.audience,
        allowed="at least one audience, none of them blank",
        fix="Give the value of the tokens' `aud` or `client_id`. Without it, tokens for others would be accepted.",
    )


def _throttle(path: str, throttle: Throttle) -> list[Problem]:
    fix = "To stop an API, delete it or set the function's reserved_concurrent_executions to 0."
    return [
        *_validation.positive(
            "throttle-rate", f"{path}.rate_limit", throttle.rate_limit, whole=False, unit="requests per second", fix=fix
        ),
        *_validation.positive(
            "throttle-burst", f"{path}.burst_limit", throttle.burst_limit, whole=True, unit="requests", fix=fix
        ),
    ]


def _cors(path: str, cors: Cors | None, api_type: AnyApiType) -> list[Problem]:
    if cors is None:
        return []
    problems = []
    if isinstance(api_type, RestApiType):
        problems.append(
            Problem(
                "cors-unsupported",
                path,
                "Cors(...) with a REST API",
                "cross-origin resource sharing with an HTTP API, which answers for the function",
                "Use api_type=ApiType.http_api().",
            )
        )
    origins = tuple(cors.allow_origins)
    resolved = [origin for origin in origins if not is_unresolved(origin)]
    wrong = [
        origin for origin in resolved if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/]+", origin)
    ]
    if isinstance(cors.allow_origins, str) or not origins or wrong or ("*" in origins and len(origins) > 1):
        problems.append(
            Problem(
                "cors-origins",
                f"{path}.allow_origins",
                repr(cors.allow_origins),
                "a list of origins such as 'https://app.example.com', without a path; or ['*']",
                "An origin is a scheme, a host and perhaps a port.",
            )
        )
    return problems
