"""boto3 clients, each created at its first use, and which of their errors are transient.

Lambda's base image has boto3. Importing it and creating a client takes a third of a second, so only commands that are
behind a queue, or that have little else to import, use it. Models are downloaded by a client of our own (`storage.s3`).
"""

from __future__ import annotations

from threading import Lock
from typing import Any

# Connections of a client, and threads that use them in parallel.
PARALLEL = 16
# Seconds. botocore repeats a call that takes longer, up to ATTEMPTS in all; then the job is handed back to the queue.
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
    """Clients by service. Threads may share them, as boto3's clients allow.

    Args:
        attempts: calls in all, when one fails and is repeated.
        read_timeout: seconds that one call may take.
    """

    def __init__(self, attempts: int = ATTEMPTS, read_timeout: float = READ_TIMEOUT) -> None:
        self._attempts = attempts
        self._read_timeout = read_timeout
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def get(self, service: str) -> Any:
        """The client of a service, with the region, credentials and endpoint of the environment."""
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
    """Whether a repeated call may succeed: it was throttled, timed out, not connected, or the service failed."""
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or code_of(error) in _THROTTLES
    return isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, ParamValidationError)


def code_of(error: BaseException) -> str:
    """The service's error code; empty if the error did not come from the service."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
