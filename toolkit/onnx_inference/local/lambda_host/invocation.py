"""The result of an invocation, its record, and the errors with which Lambda refuses one."""

import math
from dataclasses import dataclass
from datetime import datetime

#: The quota of a synchronous invocation's payload, in each direction.
PAYLOAD_LIMIT_BYTES = 6_291_556


@dataclass(frozen=True)
class InvocationRecord:
    """One invocation: what Lambda's REPORT line contains, and a little more.

    `status` is `success`, `error` (the function's own), `timeout`, `out_of_memory` or `init_error`. `kind` is `request`
    (through an API), `ping` (of the warmer) or `other`. `started_at` is on the twin's clock, durations are this
    machine's. `queued_ms` is the time that it waited for an environment. `spillover` is true when all provisioned
    environments were busy and another one served.
    """

    request_id: str
    invoked_function_arn: str
    function_name: str
    function_version: str
    started_at: datetime
    cold_start: bool
    init_duration_ms: float | None
    duration_ms: float
    queued_ms: float
    memory_size_mb: int
    max_memory_used_mb: int
    status: str
    error_type: str | None
    log_stream: str
    kind: str = "other"
    restore_duration_ms: float | None = None
    spillover: bool = False

    @property
    def billed_duration_ms(self) -> int:
        """The duration of the handler and of the init phase of a cold start, rounded up to milliseconds.

        AWS bills a part of a restore, too. That part is not included.
        """
        return math.ceil(self.duration_ms + (self.init_duration_ms or 0.0))

    def report(self) -> str:
        """The REPORT line."""
        parts = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_duration_ms} ms",
            f"Memory Size: {self.memory_size_mb} MB",
            f"Max Memory Used: {self.max_memory_used_mb} MB",
        ]
        if self.init_duration_ms is not None:
            parts.append(f"Init Duration: {self.init_duration_ms:.2f} ms")
        if self.restore_duration_ms is not None:
            parts.append(f"Restore Duration: {self.restore_duration_ms:.2f} ms")
        if self.status == "timeout":
            parts.append("Status: timeout")
        elif self.status != "success":
            parts.append(f"Status: error\tError Type: {self.error_type}")
        return "\t".join(parts)


@dataclass(frozen=True)
class InvocationResult:
    """The answer of a synchronous invocation.

    `function_error` is None after a success. Otherwise it is `Unhandled`, as in the header `X-Amz-Function-Error`, and
    the payload is the error document. `log_tail` is the end of the invocation's log.
    """

    payload: bytes
    function_error: str | None
    record: InvocationRecord
    log_tail: str = ""


class InvokeError(Exception):
    """Lambda refuses an invocation before any execution environment sees it."""

    status_code = 400
    code = "InvalidRequestContentException"


class ResourceNotFound(InvokeError):
    """The function, version or alias does not exist."""

    status_code = 404
    code = "ResourceNotFoundException"


class RequestEntityTooLarge(InvokeError):
    """The event is larger than a synchronous invocation may carry."""

    status_code = 413
    code = "RequestTooLargeException"


class TooManyRequests(InvokeError):
    """The function's reserved concurrency is used up."""

    status_code = 429
    code = "TooManyRequestsException"
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"


class SnapStartNotReady(InvokeError):
    """The version has no snapshot yet."""

    status_code = 409
    code = "SnapStartNotReadyException"


class NotServed(InvokeError):
    """The twin cannot run this function; the message says why."""

    status_code = 502
    code = "NotServed"
