"""Which web pages may call an API from a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration


@dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin resource sharing. The API itself answers preflight requests.

    Args:
        allow_origins: Origins such as `https://app.example.com`, or `*` alone for all.
        allow_headers: Request headers that a page may set. Default: those of the protocol, of jobs and of AWS
            signatures.
        expose_headers: Response headers that a page may read. Default: the length of the JSON part of a binary
            response, and where and when to look for a job.
        max_age: How long a browser may cache the answer. Default: the browser's own choice, a few seconds.

    A change updates the API in place.
    """

    allow_origins: Sequence[str]
    allow_headers: Sequence[str] = (
        "authorization",
        "content-type",
        "idempotency-key",
        "inference-header-content-length",
        "job-timeout",
        "x-amz-date",
        "x-amz-security-token",
    )
    expose_headers: Sequence[str] = ("inference-header-content-length", "location", "retry-after")
    max_age: Duration | None = None
