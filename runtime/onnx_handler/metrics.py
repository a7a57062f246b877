"""One CloudWatch embedded-metric line per inference: the metrics of each phase and what was asked, for Logs Insights.

Format: CloudWatch "Embedded metric format specification". The line is assembled from a prepared prefix, because it is
on every request's path.
"""

from __future__ import annotations

import json
import sys
from time import time_ns

from .settings import Settings


class Phases(dict[str, float]):
    """Milliseconds by phase of one inference, and, once there are any, the metrics of the model that it is one of."""

    __slots__ = ("metrics",)

    metrics: Metrics


class Metrics:
    """Writes the lines of one model."""

    def __init__(self, settings: Settings) -> None:
        self._namespace = settings.metrics_namespace
        self._properties = json.dumps(
            {
                "FunctionName": settings.function_name,
                "ModelName": settings.model_name,
                "functionVersion": settings.function_version,
                "modelVersion": settings.model_version,
                "modelDigest": settings.model_digest,
            },
            separators=(",", ":"),
        )[1:-1]
        self._directives: dict[tuple[str, ...], str] = {}

    def loaded(self, milliseconds: float, fetch: float | None = None) -> None:
        """Records how long the model took to load, and to come from S3 if it does; written each time it is loaded."""
        self._write({"ModelLoad": milliseconds} | ({} if fetch is None else {"ModelFetch": fetch}), "")

    def inferred(self, request_id: str, status: int, cold_start: bool, phases: dict[str, float]) -> None:
        """Records one inference.

        Args:
            request_id: Lambda's, to find the request by.
            status: the HTTP status of the answer.
            cold_start: this is the environment's first request.
            phases: milliseconds by phase; a phase that was not reached is absent.
        """
        cold = "true" if cold_start else "false"
        self._write(phases, f',"requestId":"{request_id}","status":{status},"coldStart":{cold}')

    def _write(self, metrics: dict[str, float], properties: str) -> None:
        names = tuple(metrics)
        directive = self._directives.get(names)
        if directive is None:
            directive = self._directives[names] = self._directive(names)
        values = "".join([f',"{name}":{value:.4f}' for name, value in metrics.items()])
        sys.stdout.write(
            f'{{"_aws":{{"Timestamp":{time_ns() // 1_000_000},"CloudWatchMetrics":{directive}}},'
            f"{self._properties}{properties}{values}}}\n"
        )

    def _directive(self, names: tuple[str, ...]) -> str:
        # A declared metric without a value is an error in the format, so only what is there is declared.
        declaration = {
            "Namespace": self._namespace,
            "Dimensions": [["FunctionName", "ModelName"]],
            "Metrics": [{"Name": name, "Unit": "Milliseconds"} for name in names],
        }
        return json.dumps([declaration] if names else [], separators=(",", ":"))
