"""The environment of the rooms of async inference. The names are in `settings.NAMES`, the table in the docs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_log = logging.getLogger("onnx_handler")

LONGEST_TIMEOUT = 12 * 60 * 60  # seconds that a job may last unless the construct says otherwise
LONGEST_RETENTION = 14 * 24 * 60 * 60


class JobsMisconfigured(Exception):
    """The function's environment is wrong; the text says how."""


class JobSettings(NamedTuple):
    """What the rooms of async inference share.

    Attributes:
        table: name of the table with the job records.
        queue_url: the queue that jobs are put on; only the job API sends.
        bucket: the bucket of bodies and results that are too large for the queue and the table.
        timeout: seconds from submission to deadline: the default, and the most that a job may ask for.
        retention: seconds that a record is kept after its deadline.
        parked_queue_url: keeps the messages of failed jobs; only the consumer of dead letters sends.
        signatures_path: absolute path of the models' signatures; None where nothing is known of them.
        micro_batch_size: most rows in one run of the model; 1 runs every job by itself.
    """

    table: str
    queue_url: str = ""
    bucket: str = ""
    timeout: int = LONGEST_TIMEOUT
    retention: int = LONGEST_RETENTION
    parked_queue_url: str = ""
    signatures_path: str | None = None
    micro_batch_size: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, *needed: str) -> JobSettings:
        """Reads the settings.

        Args:
            environment: of the function.
            needed: names that the room cannot do without, beside JOBS_TABLE_NAME.

        Raises:
            JobsMisconfigured: a variable is absent or wrong; the text names all of them.
        """
        wrong = [f"{name} is not set" for name in ("JOBS_TABLE_NAME", *needed) if not environment.get(name)]
        numbers = {}
        for name, default, most in (
            ("JOB_TIMEOUT", LONGEST_TIMEOUT, 14 * 24 * 60 * 60),
            ("JOB_RETENTION", LONGEST_RETENTION, 10 * 365 * 24 * 60 * 60),
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
    """The handler that is made, or one that says at each event what is wrong with the environment.

    A module that cannot be imported would make Lambda start the environment again and again.
    """
    try:
        return make()
    except JobsMisconfigured as cause:
        message = f"the function's environment is wrong: {cause}"
        _log.error("%s", message)

    def refuse(event: Any, context: Any) -> Any:
        raise JobsMisconfigured(message)

    return refuse
