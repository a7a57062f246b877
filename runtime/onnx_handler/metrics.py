"""Writes CloudWatch metrics to the log, one line per inference: the time of each phase, and properties to search by.

Format: CloudWatch "Embedded metric format specification". Every request writes a line, so lines are made quickly, from
a template for each set of metrics.
"""

from __future__ import annotations

import json
import sys
from time import time_ns

from .settings import Settings


class Phases(dict[str, float]):
    """Milliseconds by phase of one inference; `metrics` are its model's, and are set with the first phase."""

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
        self._templates: dict[tuple[str, ...], str] = {}

    def loaded(self, milliseconds: float, fetch: float | None = None) -> None:
        """Records how long the model took to load and, if it is in S3, to download; both in milliseconds."""
        self._write({"ModelLoad": milliseconds} | ({} if fetch is None else {"ModelFetch": fetch}), "")

    def started(self, milliseconds: float) -> None:
        """Counts a cold start that a request waited for, and records how long it took; of the function, not a model."""
        declaration = {
            "Namespace": self._namespace,
            "Dimensions": [["FunctionName"]],
            "Metrics": [{"Name": "ColdStart", "Unit": "Count"}, {"Name": "InitDuration", "Unit": "Milliseconds"}],
        }
        directive = json.dumps([declaration], separators=(",", ":"))
        sys.stdout.write(
            f'{{"_aws":{{"Timestamp":{time_ns() // 1_000_000},"CloudWatchMetrics":{directive}}},'
            f'{self._properties},"ColdStart":1,"InitDuration":{milliseconds:.0f}}}\n'
        )

    def golden_run(self, milliseconds: float) -> None:
        """Records how long the golden run took."""
        self._write({"GoldenRun": milliseconds}, "")

    def pinged(self, request_id: str, *, warm: bool) -> None:
        """Counts a warm event; `warm` if the environment had been there before it."""
        self._write({"WarmerPingWarm" if warm else "WarmerPingCold": 1}, f',"requestId":"{request_id}"', "Count")

    def inferred(self, request_id: str, status: int, cold_start: bool, phases: dict[str, float]) -> None:
        """Records one inference.

        Args:
            request_id: Lambda's.
            status: the HTTP status of the answer.
            cold_start: this is the environment's first request.
            phases: milliseconds by phase, without those that were not reached.
        """
        cold = "true" if cold_start else "false"
        self._write(phases, f',"requestId":"{request_id}","status":{status},"coldStart":{cold}')

    def _write(self, metrics: dict[str, float], properties: str, unit: str = "Milliseconds") -> None:
        names = tuple(metrics)
        template = self._templates.get(names)
        if template is None:
            template = self._templates[names] = self._template(names, unit)
        sys.stdout.write(template % (time_ns() // 1_000_000, properties, *metrics.values()))

    def _template(self, names: tuple[str, ...], unit: str) -> str:
        # The format does not allow a metric without a value, so only these metrics are declared.
        declaration = {
            "Namespace": self._namespace,
            "Dimensions": [["FunctionName", "ModelName"]],
            "Metrics": [{"Name": name, "Unit": unit} for name in names],
        }
        directive = json.dumps([declaration] if names else [], separators=(",", ":")).replace("%", "%%")
        values = "".join([f',"{name}":%.4f' for name in names])
        return (
            f'{{"_aws":{{"Timestamp":%d,"CloudWatchMetrics":{directive}}},'
            f"{self._properties.replace('%', '%%')}%s{values}}}\n"
        )
