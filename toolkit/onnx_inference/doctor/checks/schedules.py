"""Schedules that invoke functions often, as those that keep them warm do."""

import re
from collections.abc import Iterator

from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import ALIAS, Resource, Template, mappings

_MINUTES = {"minute": 1, "minutes": 1, "hour": 60, "hours": 60, "day": 1440, "days": 1440}
_OFTEN = 15
"""Minutes between two runs. With so short a time the next run replaces a retry."""


def _often(schedule: Resource) -> bool:
    expression = schedule.value("ScheduleExpression")
    found = re.fullmatch(r"rate\((\d+) (\w+)\)", expression) if isinstance(expression, str) else None
    return found is not None and int(found[1]) * _MINUTES.get(found[2], 1440) <= _OFTEN


def _targets(resource: Resource) -> Iterator[tuple[str, object]]:
    if resource.type == "AWS::Scheduler::Schedule":
        yield "Target.Arn", resource.value("Target", "Arn")
    for number, target in enumerate(mappings(resource.value("Targets"))):
        yield f"Targets.{number}.Arn", target.get("Arn")


def _unqualified(template: Template) -> Iterator[Finding]:
    aliases = {
        function.logical_id: alias.logical_id
        for alias in template.resources(ALIAS)
        if (function := template.function_behind(alias)) is not None
    }
    for resource in template.resources("AWS::Scheduler::Schedule", "AWS::Events::Rule"):
        if not _often(resource):
            continue
        for location, value in _targets(resource):
            function, qualified = template.function_of(value)
            if function is not None and not qualified and function.logical_id in aliases:
                yield Finding.at(
                    resource,
                    code="warmer-misses-alias",
                    severity="warning",
                    location=location,
                    got=f"$LATEST of {function.logical_id}",
                    allowed=f"the alias {aliases[function.logical_id]}",
                    fix="Target the alias: environments belong to one version, and requests through the alias use "
                    "another.",
                )


def _retries(template: Template) -> Iterator[Finding]:
    for schedule in template.resources("AWS::Scheduler::Schedule"):
        if not _often(schedule) or template.function_of(schedule.value("Target", "Arn"))[0] is None:
            continue
        attempts = schedule.number("Target", "RetryPolicy", "MaximumRetryAttempts", default=185)
        age = schedule.number("Target", "RetryPolicy", "MaximumEventAgeInSeconds", default=86_400)
        if attempts is not None and age is not None and attempts > 2 and age > 3600:
            yield Finding.at(
                schedule,
                code="schedule-retries",
                severity="warning",
                location="Target.RetryPolicy",
                got=f"{attempts:g} retries within {age:g} seconds, of what runs every few minutes",
                allowed="0 to 2 retries, or an event age of at most an hour",
                fix="Set MaximumRetryAttempts to 0: after an outage a day's runs come at once.",
            )


CHECKS = (
    Check(
        code="warmer-misses-alias",
        title="what runs often to keep a function warm goes to the alias that is used",
        why="It warms environments that no request uses.",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        find=_unqualified,
    ),
    Check(
        code="schedule-retries",
        title="what runs every few minutes is not retried for a day",
        why="After an outage a day's runs come at once.",
        source="https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html",
        find=_retries,
    ),
)
