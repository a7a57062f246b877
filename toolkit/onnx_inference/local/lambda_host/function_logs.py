"""The functions' logs: lines are kept and given to listeners, and embedded metrics are parsed."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from onnx_inference.local.clock import Clock

_KEPT = 20_000


@dataclass(frozen=True)
class LogLine:
    """One line that a function printed."""

    written_at: datetime
    function_name: str
    function_version: str
    log_stream: str
    request_id: str | None
    message: str
    is_metrics: bool = False


@dataclass(frozen=True)
class MetricDatum:
    """The values of one metric in a line of CloudWatch's embedded metric format. `at` is on the twin's clock."""

    at: float
    function_name: str
    request_id: str | None
    namespace: str
    name: str
    unit: str
    values: tuple[float, ...]
    dimensions: tuple[tuple[str, str], ...]


class FunctionLogs:
    """The log sink of all functions; safe to use from every thread.

    Args:
        clock: The clock of the metrics' times. Default: this machine's time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._lines: deque[LogLine] = deque(maxlen=_KEPT)
        self._metrics: deque[MetricDatum] = deque(maxlen=_KEPT)
        self._listeners: list[Callable[[LogLine], None]] = []
        self._lock = threading.Lock()

    def listen(self, listener: Callable[[LogLine], None]) -> None:
        """Call the listener with every line from now on."""
        with self._lock:
            self._listeners.append(listener)

    def write(self, name: str, version: str, log_stream: str, request_id: str | None, message: str) -> None:
        """Take one line of a function."""
        metrics = list(_embedded_metrics(self._clock.time(), name, request_id, message))
        line = LogLine(datetime.now(UTC), name, version, log_stream, request_id, message, bool(metrics))
        with self._lock:
            self._lines.append(line)
            self._metrics.extend(metrics)
            listeners = list(self._listeners)
        for listener in listeners:
            listener(line)

    def lines(self, function_name: str | None = None) -> list[LogLine]:
        """The kept lines, oldest first; of one function when it is named."""
        with self._lock:
            kept = list(self._lines)
        return [line for line in kept if function_name in (None, line.function_name)]

    def metrics(self, name: str | None = None) -> list[MetricDatum]:
        """The kept metric values, oldest first; of one metric when it is named."""
        with self._lock:
            kept = list(self._metrics)
        return [datum for datum in kept if name in (None, datum.name)]


def _embedded_metrics(at: float, function_name: str, request_id: str | None, message: str) -> Iterator[MetricDatum]:
    """The metrics of a line, when it is one JSON object with the metadata member `_aws`."""
    if not message.startswith("{") or '"_aws"' not in message:
        return
    try:
        document: dict[str, Any] = json.loads(message)
        directives = document["_aws"]["CloudWatchMetrics"]
        for directive in directives:
            keys = sorted({key for keys in directive.get("Dimensions", []) for key in keys})
            dimensions = tuple((key, str(document[key])) for key in keys if key in document)
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                values = tuple(float(v) for v in (value if isinstance(value, list) else [value]))
                yield MetricDatum(
                    at=at,
                    function_name=function_name,
                    request_id=request_id,
                    namespace=str(directive["Namespace"]),
                    name=str(metric["Name"]),
                    unit=str(metric.get("Unit", "None")),
                    values=values,
                    dimensions=dimensions,
                )
    except (KeyError, TypeError, ValueError):
        return
