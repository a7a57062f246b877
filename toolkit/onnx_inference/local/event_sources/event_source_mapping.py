"""Event source mappings of queues, as deployed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.local.event_sources.event_pattern import parse_filters

#: With no MaximumConcurrency, Lambda begins with five batches at once, and adds up to 300 a minute.
FIRST_POLLERS = 5
MOST_POLLERS = 1_250


@dataclass(frozen=True)
class QueueMapping:
    """One mapping of a queue to a function, as deployed at one moment."""

    mapping_id: str
    queue_arn: str
    function_arn: str
    enabled: bool
    batch_size: int
    window_seconds: float
    reports_item_failures: bool
    maximum_concurrency: int | None
    patterns: tuple[Mapping[str, Any], ...] = field(hash=False, default=())

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "QueueMapping":
        """Read what `lambda.get_event_source_mapping` answers.

        Raises:
            UnknownPattern: Its filters use something that is not known here.
        """
        concurrency = (record.get("ScalingConfig") or {}).get("MaximumConcurrency")
        return cls(
            mapping_id=str(record["UUID"]),
            queue_arn=str(record["EventSourceArn"]),
            function_arn=str(record["FunctionArn"]),
            enabled=str(record.get("Enabled", True)).lower() != "false",
            batch_size=int(record.get("BatchSize") or 10),
            window_seconds=float(record.get("MaximumBatchingWindowInSeconds") or 0),
            reports_item_failures="ReportBatchItemFailures" in (record.get("FunctionResponseTypes") or ()),
            maximum_concurrency=None if concurrency is None else int(concurrency),
            patterns=parse_filters(record.get("FilterCriteria")),
        )

    @property
    def first_pollers(self) -> int:
        """How many pollers it starts with."""
        return min(FIRST_POLLERS, self.maximum_concurrency or FIRST_POLLERS)

    @property
    def most_pollers(self) -> int:
        """How many pollers it may have."""
        return self.maximum_concurrency or MOST_POLLERS


def is_queue(arn: str) -> bool:
    """Whether an event source's ARN is that of a queue."""
    return arn.split(":")[2:3] == ["sqs"]
