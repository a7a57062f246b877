"""A pipe from a table's stream, as deployed: its filters, its input template, its target."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.local.cloud.streams import PipeRecord, is_table_stream
from onnx_inference.local.event_sources.event_pattern import parse_filters

_TARGETS = ("sns", "events", "sqs", "lambda")
_PLACEHOLDER = re.compile(r"<(\$[^>]*|aws\.pipes\.[^>]*)>")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\[['\"]([^'\"]+)['\"]\]")
_MISSING = object()


class UnknownPipe(ValueError):
    """A pipe has a source, a target or an enrichment that is not run here."""


@dataclass(frozen=True)
class Pipe:
    """One pipe, as its template describes it."""

    name: str
    arn: str
    stream_arn: str
    target_arn: str
    patterns: tuple[Mapping[str, Any], ...] = field(hash=False)
    input_template: str | None
    target_parameters: Mapping[str, Any] = field(hash=False)

    @classmethod
    def from_record(cls, record: PipeRecord) -> "Pipe":
        """Read a deployed pipe.

        Raises:
            UnknownPipe: It is not run here; the message says why.
            UnknownPattern: Its filters use something that is not known here.
        """
        properties = record.properties
        source, target = str(properties.get("Source", "")), str(properties.get("Target", ""))
        if not is_table_stream(source):
            raise UnknownPipe(f"the source {source} is no table's stream, which is the only source that is run here")
        if target.split(":")[2:3] not in [[name] for name in _TARGETS]:
            raise UnknownPipe(f"the target {target} is not run here; topics, event buses, queues and functions are")
        if properties.get("Enrichment"):
            raise UnknownPipe("enrichment is not run here")
        parameters = properties.get("TargetParameters") or {}
        return cls(
            name=record.name,
            arn=record.arn,
            stream_arn=source,
            target_arn=target,
            patterns=parse_filters((properties.get("SourceParameters") or {}).get("FilterCriteria")),
            input_template=parameters.get("InputTemplate"),
            target_parameters=parameters,
        )

    @property
    def target_service(self) -> str:
        """The service of the target: `sns`, `events`, `sqs` or `lambda`."""
        return self.target_arn.split(":")[2]

    def payload(self, record: Mapping[str, Any], ingested_at: str) -> str:
        """The payload for one record: the record as JSON, or the filled input template.

        Args:
            record: The stream's record.
            ingested_at: The value of `<aws.pipes.event.ingestion-time>`.
        """
        if self.input_template is None:
            return json.dumps(record)
        reserved = {
            "aws.pipes.pipe-arn": self.arn,
            "aws.pipes.pipe-name": self.name,
            "aws.pipes.source-arn": self.stream_arn,
            "aws.pipes.target-arn": self.target_arn,
            "aws.pipes.event.ingestion-time": ingested_at,
            "aws.pipes.event": record,
            "aws.pipes.event.json": record,
        }
        template = self.input_template

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            value = _select(record, name) if name.startswith("$") else reserved.get(name, _MISSING)
            before = template[: match.start()].replace('\\"', "")
            quoted = before.count('"') % 2 == 1
            if not quoted:
                return json.dumps("" if value is _MISSING else value)
            text = "" if value is _MISSING else value if isinstance(value, str) else json.dumps(value)
            return json.dumps(text)[1:-1]

        return _PLACEHOLDER.sub(fill, template)


def _select(value: Any, path: str) -> Any:
    """The value at a JSON path such as `$.dynamodb.NewImage.id.S`; `_MISSING` when there is none."""
    for match in _STEP.finditer(path.removeprefix("$")):
        member, index, quoted = match.groups()
        if index is not None:
            if not isinstance(value, list) or int(index) >= len(value):
                return _MISSING
            value = value[int(index)]
        else:
            name = member if member is not None else quoted
            if not isinstance(value, Mapping) or name not in value:
                return _MISSING
            value = value[name]
    return value
