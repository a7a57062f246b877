"""What comes of an init phase, a restore or an invocation, in Lambda's words for its errors."""

import json
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What came of one event, or of the init phase.

    `status` is as in `InvocationRecord`; `payload` is the response, or the error document.
    """

    status: str
    payload: bytes
    duration_ms: float
    error_type: str | None = None

    @classmethod
    def reported(cls, status: str, error: bytes, duration_ms: float) -> "Outcome":
        """An error that the runtime reported, with its own error document."""
        try:
            error_type = str(json.loads(error)["errorType"])
        except (KeyError, TypeError, ValueError):
            error_type = "Unhandled"
        return cls(status, error, duration_ms, error_type)

    @classmethod
    def failed(cls, status: str, error_type: str, message: str, duration_ms: float) -> "Outcome":
        """An error that Lambda itself describes."""
        payload = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
        return cls(status, payload, duration_ms, error_type)

    @property
    def failure_to_start(self) -> "Outcome | None":
        """What an invocation answers after this init phase or restore; None when it succeeded."""
        if self.status == "success":
            return None
        status = self.status if self.status in ("timeout", "out_of_memory") else "init_error"
        return Outcome(status, self.payload, self.duration_ms, self.error_type)


def exit_reason(code: int | None) -> str:
    """Lambda's words for the end of a runtime process.

    Args:
        code: The exit status, negative for a signal; None when it is not known.
    """
    if not code:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    name = signal.Signals(-code).name
    return "Runtime exited with error: signal: " + ("killed" if name == "SIGKILL" else name)
