"""boto3's clients, made once and late, and which of their errors pass.

Lambda's base image has boto3. Importing it and making a client takes a third of a second, so only rooms that are behind
a queue or have nothing else to import use it; models come from S3 by a client of our own (`s3`).
"""

from __future__ import annotations

from threading import Lock
from typing import Any

# Connections, and threads that use them side by side.
PARALLEL = 16
# Seconds. A call that takes longer is made again by botocore, and after ATTEMPTS the job is handed back to the queue.
CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 10.0
ATTEMPTS = 4

_THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "InternalServerError",
        "RequestTimeout",
    }
)


class Clients:
    """Clients by service, each made at its first use. They are shared by threads, which boto3's clients allow."""

    def __init__(self, attempts: int = ATTEMPTS, read_timeout: float = READ_TIMEOUT) -> None:
        self._attempts = attempts
        self._read_timeout = read_timeout
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def get(self, service: str) -> Any:
        """The client of a service, for the region, credentials and endpoint that the environment says."""
        client = self._clients.get(service)
        if client is None:
            with self._lock:
                client = self._clients.get(service)
                if client is None:
                    client = self._clients[service] = self._made(service)
        return client

    def _made(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=self._read_timeout,
            max_pool_connections=PARALLEL,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
        )
        return boto3.session.Session().client(service, config=config)


def is_transient(error: BaseException) -> bool:
    """Whether a call may succeed later: throttled, timed out, not connected, or the service's own fault."""
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or code_of(error) in _THROTTLES
    return isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, ParamValidationError)


def code_of(error: BaseException) -> str:
    """The service's error code; empty for what is no answer of a service."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
