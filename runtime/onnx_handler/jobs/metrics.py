"""The CloudWatch metrics of jobs: how many ended with which status, and how long each took."""

from __future__ import annotations

import json
import os
import sys
from threading import Lock
from time import time_ns

# CloudWatch takes at most this many values of one metric in one line of the embedded metric format.
MOST_VALUES = 100
_METRICS = {
    "SUCCEEDED": "JobsSucceeded",
    "FAILED": "JobsFailed",
    "EXPIRED": "JobsExpired",
    "DROPPED": "JobsDropped",
    "HANDED_BACK": "JobsHandedBack",
}


class JobMetrics:
    """Counts jobs until the counts are written. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._latencies: list[int] = []

    def count(self, what: str, latency: int | None = None, times: int = 1) -> None:
        """Counts one job or several.

        Args:
            what: a final status, DROPPED (the job was finished already), or HANDED_BACK.
            latency: milliseconds since the message was put on the queue.
            times: how many jobs.
        """
        if not times:
            return
        name = _METRICS[what]
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + times
            if latency is not None and len(self._latencies) < MOST_VALUES:
                self._latencies.append(latency)

    def write(self) -> None:
        """Writes one line with all counts, and starts again from zero."""
        with self._lock:
            counts, latencies = self._counts, self._latencies
            self._counts, self._latencies = {}, []
        if not counts:
            return
        metrics = [{"Name": name, "Unit": "Count"} for name in counts]
        if latencies:
            metrics.append({"Name": "JobLatency", "Unit": "Milliseconds"})
        declaration = {
            "Namespace": os.environ.get("METRICS_NAMESPACE") or "OnnxInference",
            "Dimensions": [["FunctionName"]],
            "Metrics": metrics,
        }
        line = {
            "_aws": {"Timestamp": time_ns() // 1_000_000, "CloudWatchMetrics": [declaration]},
            "FunctionName": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            **counts,
            **({"JobLatency": latencies} if latencies else {}),
        }
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
