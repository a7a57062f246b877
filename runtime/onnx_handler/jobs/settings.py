"""The environment variables of async inference. All names are in `onnx_handler.settings.NAMES`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_log = logging.getLogger("onnx_handler")

# Seconds: what JOB_TIMEOUT and JOB_RETENTION are if they are not set.
DEFAULT_TIMEOUT = 12 * 60 * 60
DEFAULT_RETENTION = 14 * 24 * 60 * 60


class JobsMisconfigured(Exception):
    """The function's environment is wrong; the text says how."""


class JobSettings(NamedTuple):
    """The settings that the commands of async inference share.

    Attributes:
        table: name of the table of job records.
        queue_url: the job queue; only the job API needs it.
        bucket: for bodies that are too large for the queue, and results that are too large for the table.
        timeout: seconds from submission to deadline: the default, and the most that a job may ask for.
        retention: seconds that a record is kept after the job's deadline.
        parked_queue_url: the queue of the failed jobs' messages; only the consumer of dead letters needs it.
        signatures_path: absolute path of the models' signatures.json; None if they are not known.
        micro_batch_size: most rows in one run of the model; 1 runs every job by itself.
    """

    table: str
    queue_url: str = ""
    bucket: str = ""
    timeout: int = DEFAULT_TIMEOUT
    retention: int = DEFAULT_RETENTION
    parked_queue_url: str = ""
    signatures_path: str | None = None
    micro_batch_size: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, *needed: str) -> JobSettings:
        """Reads the settings.

        Args:
            environment: of the function.
            needed: variables that this command needs in addition to JOBS_TABLE_NAME.

        Raises:
            JobsMisconfigured: variables are absent or wrong; the text names all of them.
        """
        wrong = [f"{name} is not set" for name in ("JOBS_TABLE_NAME", *needed) if not environment.get(name)]
        numbers = {}
        for name, default, most in (
            ("JOB_TIMEOUT", DEFAULT_TIMEOUT, 14 * 24 * 60 * 60),
            ("JOB_RETENTION", DEFAULT_RETENTION, 10 * 365 * 24 * 60 * 60),
            ("MICRO_BATCH_SIZE", 1, 10_000),
        ):
            text = environment.get(name) or str(default)
            if text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most:
                numbers[name] = int(text)
            else:
                wrong.append(f"{name} is {text!r:.40}; a whole number from 1 to {most} is expected")
        if wrong:
            raise JobsMisconfigured("; ".join(wrong))
        signatures = environment.get("MODEL_SIGNATURES")
        root = environment.get("LAMBDA_TASK_ROOT", ".")
        return cls(
            table=environment["JOBS_TABLE_NAME"],
            queue_url=environment.get("JOBS_QUEUE_URL", ""),
            bucket=environment.get("PAYLOAD_BUCKET_NAME", ""),
            timeout=numbers["JOB_TIMEOUT"],
            retention=numbers["JOB_RETENTION"],
            parked_queue_url=environment.get("PARKED_QUEUE_URL", ""),
            signatures_path=os.path.join(root, signatures) if signatures else None,  # noqa: PTH118
            micro_batch_size=numbers["MICRO_BATCH_SIZE"],
        )


def unless_misconfigured(make: Callable[[], Callable[[Any, Any], Any]]) -> Callable[[Any, Any], Any]:
    """The handler that `make` returns, or one that raises at each event what is wrong with the environment.

    If the module itself could not be imported, Lambda would start the environment again and again.
    """
    try:
        return make()
    except JobsMisconfigured as cause:
        message = f"the function's environment is wrong: {cause}"
        _log.error("%s", message)

    def refuse(event: Any, context: Any) -> Any:
        raise JobsMisconfigured(message)

    return refuse
