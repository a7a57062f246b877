"""Checks the options of a warmer."""

from __future__ import annotations

from aws_cdk import Duration, TimeZone

from cdk_onnx_inference import _validation
from cdk_onnx_inference._tokens import KNOWN_AT_DEPLOYMENT, is_unresolved
from cdk_onnx_inference.errors import Problem

from ._concurrency import over_reserved
from .cold_start import ColdStart, OnDemand, Provisioned, Warmed, WarmerTrigger, WarmHours

MAX_HOLD_MS = 10_000
"""Longest time that a ping may occupy an environment. The handler has the same limit."""

_MOST_PINGS = {WarmerTrigger.SCHEDULER: 100, WarmerTrigger.RULE: 5}
_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_UTC = ("Etc/UTC", "UTC")


def check(path: str, options: Warmed, *, timeout: Duration, reserved: float | None) -> list[Problem]:
    """All problems of a warmer's options.

    Args:
        path: Prefix of the problems' paths.
        options: What the user gave.
        timeout: Longest run of the function's invocations.
        reserved: Environments that are reserved for the function, or None.
    """
    if not isinstance(options.trigger, WarmerTrigger):
        return [
            Problem(
                "warmer-trigger",
                f"{path}.trigger",
                repr(options.trigger),
                "a WarmerTrigger",
                "Give WarmerTrigger.SCHEDULER or WarmerTrigger.RULE.",
            )
        ]
    return [
        *_concurrency(f"{path}.concurrency", options, reserved),
        *_interval(f"{path}.interval", options.interval),
        *_hold(f"{path}.hold", options.hold, timeout),
        *_hours(f"{path}.hours", options),
    ]


def check_function(path: str, cold_start: ColdStart) -> list[Problem]:
    """Refuses a warmer for a function with provisioned concurrency or SnapStart: it would only cost money."""
    if isinstance(cold_start, OnDemand | Warmed):
        return []
    kind = "provisioned concurrency" if isinstance(cold_start, Provisioned) else "SnapStart"
    return [
        Problem(
            "warmer-excluded",
            path,
            f"a function with {kind}",
            "a function that starts on demand",
            f"Leave the warmer out: {kind} takes its place. Or give the function cold_start=ColdStart.warmer(...).",
        )
    ]


def _concurrency(path: str, options: Warmed, reserved: float | None) -> list[Problem]:
    most = _MOST_PINGS[options.trigger]
    value = options.concurrency
    if is_unresolved(value) or type(value) is not int or not 1 <= value <= most:
        return [
            Problem(
                "warmer-concurrency-range",
                path,
                KNOWN_AT_DEPLOYMENT if is_unresolved(value) else repr(value),
                f"1 to {most} environments with WarmerTrigger.{options.trigger.name}, known at synth",
                "A rule has at most 5 targets: use WarmerTrigger.SCHEDULER for more."
                if options.trigger is WarmerTrigger.RULE
                else "To keep many environments ready use ColdStart.provisioned(): a warmer is best effort.",
            )
        ]
    return over_reserved(
        "warmer-over-reserved", path, value, "pings at once", reserved, "pings", "Pings would throttle requests."
    )


def _interval(path: str, value: Duration | None) -> list[Problem]:
    if value is None:
        return []
    allowed = f"{', '.join(map(str, _INTERVALS[:-1]))} or {_INTERVALS[-1]} minutes, as a Duration known at synth"
    known = isinstance(value, Duration) and not value.is_unresolved()
    if known and value.to_milliseconds() in [minutes * 60_000 for minutes in _INTERVALS]:
        return []
    return [
        Problem(
            "warmer-interval",
            path,
            _validation.duration_text(value),
            allowed,
            "Give e.g. Duration.minutes(5). Lambda keeps idle environments for minutes; AWS does not say how many.",
        )
    ]


def _hold(path: str, value: Duration | None, timeout: Duration) -> list[Problem]:
    if value is None:
        return []
    known = isinstance(value, Duration) and not value.is_unresolved()
    if not known or value.to_milliseconds() > MAX_HOLD_MS:
        return [
            Problem(
                "warmer-hold-range",
                path,
                _validation.duration_text(value),
                f"0 to {MAX_HOLD_MS // 1000} seconds, as a Duration known at synth",
                "A longer hold costs money, and keeps environments from requests.",
            )
        ]
    if not isinstance(timeout, Duration) or timeout.is_unresolved():
        return []
    if not value.to_milliseconds() or value.to_milliseconds() + 1000 <= timeout.to_milliseconds():
        return []
    return [
        Problem(
            "warmer-hold-timeout",
            path,
            f"{value.to_human_string()}, with a timeout of {timeout.to_human_string()}",
            "at least 1 second less than the function's timeout",
            "A ping that times out ends its environment. Raise timeout=, or hold for less.",
        )
    ]


def _hours(path: str, options: Warmed) -> list[Problem]:
    hours = options.hours
    if hours is None:
        return []
    if not isinstance(hours, WarmHours):
        fix = "Give e.g. WarmHours(start=8, end=18)."
        return [Problem("warmer-hours", path, repr(hours), "WarmHours", fix)]
    problems = []
    whole = all(type(hour) is int for hour in (hours.start, hours.end))
    if not whole or not 0 <= hours.start < hours.end <= 24 or not _are_days(hours.week_days):
        problems.append(
            Problem(
                "warmer-hours",
                path,
                f"{hours.start!r} to {hours.end!r} on {hours.week_days!r}",
                "a start of 0 to 23, a later end of up to 24, and days such as MON-FRI or SAT,SUN",
                "A week begins with SUN. For a night, add a second Warmer: one until midnight, one from midnight on.",
            )
        )
    zone = hours.time_zone
    if zone is not None and not isinstance(zone, TimeZone):
        fix = 'Give e.g. TimeZone.of("Europe/Berlin").'
        return [*problems, Problem("warmer-time-zone", f"{path}.time_zone", repr(zone), "an aws_cdk.TimeZone", fix)]
    if options.trigger is WarmerTrigger.RULE and zone is not None and zone.timezone_name not in _UTC:
        problems.append(
            Problem(
                "warmer-time-zone",
                f"{path}.time_zone",
                repr(zone.timezone_name),
                "UTC with WarmerTrigger.RULE",
                "Use WarmerTrigger.SCHEDULER, which supports time zones.",
            )
        )
    return problems


def _are_days(text: object) -> bool:
    """Whether it is a list of days and ranges of days, as EventBridge counts them: no range goes past Saturday."""
    if not isinstance(text, str):
        return False
    for span in text.split(","):
        ends = span.split("-")
        if len(ends) > 2 or any(end not in _DAYS for end in ends) or _DAYS.index(ends[0]) > _DAYS.index(ends[-1]):
            return False
    return True
