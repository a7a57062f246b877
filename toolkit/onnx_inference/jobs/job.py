"""A job, how it ended, and the errors of waiting for it."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.infer.open_inference import InferenceResponse

SUCCEEDED = "SUCCEEDED"
#: Statuses that do not change any more, unless a failed job is redriven.
FINAL = (SUCCEEDED, "FAILED", "EXPIRED", "CANCELLED")


@dataclass(frozen=True)
class Job:
    """A job's record at one moment.

    Attributes:
        id: The job's id.
        status: QUEUED, RUNNING, SUCCEEDED, FAILED, EXPIRED or CANCELLED.
        error: Why it did not succeed.
        record: The API's JSON.
    """

    id: str
    status: str
    error: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Job":
        """Read the API's JSON.

        Raises:
            KeyError: It is no job.
        """
        error = record.get("error")
        return cls(str(record["id"]), str(record["status"]), None if error is None else str(error), record)

    @property
    def finished(self) -> bool:
        """Whether its status will not change any more."""
        return self.status in FINAL


class JobError(RuntimeError):
    """A job ended without a result: it failed, expired or was cancelled."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} is {job.status}: {job.error or 'no cause is known'}")
        self.job = job


class JobNotFinished(TimeoutError):
    """A job was not finished in the time that the caller gave; the job itself goes on."""

    def __init__(self, job: Job, timeout: float) -> None:
        super().__init__(f"job {job.id} is still {job.status} after {timeout:g} s; it goes on, and can be waited for")
        self.job = job


@dataclass(frozen=True)
class JobOutcome:
    """How one of many jobs ended: with a response, or with an error."""

    id: str
    response: InferenceResponse | None = None
    error: Exception | None = None

    def result(self) -> InferenceResponse:
        """The response.

        Raises:
            JobError: The job ended without one.
            JobNotFinished: It was not finished in time.
            RequestFailed: It could not be submitted, or its status or result could not be fetched.
            TensorMismatch: Its inputs do not fit the model.
        """
        if self.error is not None:
            raise self.error
        assert self.response is not None
        return self.response


def new_job_id() -> str:
    """A new, unique id. Ids sort by the time at which they were made."""
    return f"{int(time.time() * 1000):012x}-{secrets.token_hex(10)}"
