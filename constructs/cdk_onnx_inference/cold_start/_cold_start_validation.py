"""Checks of what is done about cold starts, against the rest of the function and against what Lambda excludes."""

from __future__ import annotations

from aws_cdk import Annotations, Duration, Size
from constructs import Construct

from cdk_onnx_inference import _validation, _warnings
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from .cold_start import KINDS, ColdStart, OnDemand, Provisioned, SnapStart, Warmed, WarmerTrigger, WarmHours
from .provisioned_concurrency import ProvisionedConcurrency, UtilizationStatistic

MAX_HOLD_MS = 10_000
"""Longest that a ping may occupy an environment; the handler takes no longer one."""

_ACCOUNT_CONCURRENCY = "cdk-onnx-inference:account-concurrency"
_USUAL_LIMIT = 1000
_MOST_PINGS = {WarmerTrigger.SCHEDULER: 100, WarmerTrigger.RULE: 5}
_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NO_SNAP_START = {"ap-southeast-6": "New Zealand", "ap-east-2": "Taipei"}
_SNAP_START_TMP = 512
_UTC = ("Etc/UTC", "UTC")
_PROVISIONED = "https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html"
_SNAP_START = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"


def check(
    path: str,
    cold_start: ColdStart,
    *,
    timeout: Duration,
    reserved: float | None,
    on_file_system: bool,
    storage: Size | None,
    region: str,
    account_concurrency: object,
) -> list[Problem]:
    """All problems of a function's `cold_start`.

    Args:
        path: The problems' path: that of the argument.
        cold_start: What the user chose.
        timeout: Of the function.
        reserved: Environments that are reserved for the function.
        on_file_system: Whether a model is on one.
        storage: Size of `/tmp`, what downloaded models need included; None for Lambda's own 512 MiB.
        region: Of the stack; may be a token.
        account_concurrency: What the CDK context says of the account, or None.
    """
    if not isinstance(cold_start, KINDS):
        return [
            Problem(
                "cold-start-type",
                path,
                repr(cold_start),
                "one of ColdStart.on_demand(), .warmer(), .provisioned() and .snap_start()",
                "Give e.g. cold_start=ColdStart.provisioned().",
            )
        ]
    if isinstance(cold_start, Warmed):
        return warmer(path, cold_start, timeout=timeout, reserved=reserved)
    if isinstance(cold_start, Provisioned):
        return provisioned(path, cold_start.concurrency, reserved=reserved, account_concurrency=account_concurrency)
    if isinstance(cold_start, SnapStart):
        return snap_start(path, on_file_system=on_file_system, storage=storage, region=region)
    return []


def warmer(path: str, options: Warmed, *, timeout: Duration, reserved: float | None) -> list[Problem]:
    """Of a warmer's options."""
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
        *_warmer_concurrency(f"{path}.concurrency", options, reserved),
        *_warmer_interval(f"{path}.interval", options.interval),
        *_warmer_hold(f"{path}.hold", options.hold, timeout),
        *_warmer_hours(f"{path}.hours", options),
    ]


def warmer_excluded(path: str, cold_start: ColdStart) -> list[Problem]:
    """A warmer beside provisioned concurrency or SnapStart warms nothing that is not ready, and is paid for."""
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


def provisioned(
    path: str, concurrency: ProvisionedConcurrency, *, reserved: float | None, account_concurrency: object
) -> list[Problem]:
    """Of provisioned concurrency. CDK takes a minimum of 0 for none, and more than is reserved."""
    if not isinstance(concurrency, ProvisionedConcurrency):
        return [
            Problem(
                "provisioned-range",
                f"{path}.concurrency",
                repr(concurrency),
                "a ProvisionedConcurrency",
                "Give e.g. ProvisionedConcurrency(min_capacity=2).",
            )
        ]
    problems = [*_bounds(path, concurrency), *_target(path, concurrency), *_schedules(path, concurrency)]
    if problems:
        return problems
    most = _most(concurrency)
    problems += _over_reserved(
        "provisioned-over-reserved", path, most, "provisioned", reserved, "provisioned environments", _PROVISIONED
    )
    limit = account_limit(account_concurrency)
    if reserved is None and limit is not None and most > limit - 100:
        problems.append(
            Problem(
                "provisioned-over-account",
                path,
                f"up to {most:g} environments, in an account with {limit}",
                f"at most {max(limit - 100, 0)}: 100 stay for functions without a reservation",
                f"Lower max_capacity, or have the quota raised and then the CDK context. {_PROVISIONED}",
            )
        )
    return problems


def snap_start(path: str, *, on_file_system: bool, storage: Size | None, region: str) -> list[Problem]:
    """What SnapStart excludes. CDK knows some of it, one at a time; and not S3 Files by its name."""
    problems = []
    if on_file_system:
        problems.append(
            Problem(
                "snap-start-file-system",
                path,
                "SnapStart with a model on EFS or S3 Files",
                "SnapStart with models in the image, or in S3 with up to 448 MiB",
                f"Use ModelSource.in_image, or ColdStart.provisioned(). {_SNAP_START}",
            )
        )
    if isinstance(storage, Size) and not storage.is_unresolved() and storage.to_bytes() > _SNAP_START_TMP * 1024**2:
        problems.append(
            Problem(
                "snap-start-ephemeral-storage",
                path,
                f"SnapStart with {storage.to_bytes() / 1024**2:g} MiB of /tmp",
                f"at most {_SNAP_START_TMP} MiB, which are models in S3 of 448 MiB and 64 MiB of room",
                f"Use ModelSource.in_image, or ColdStart.provisioned(). {_SNAP_START}",
            )
        )
    if region in _NO_SNAP_START:
        problems.append(
            Problem(
                "snap-start-region",
                path,
                f"SnapStart in {region} ({_NO_SNAP_START[region]})",
                "SnapStart in any other commercial region",
                f"Use ColdStart.provisioned() there. {_SNAP_START}",
            )
        )
    return problems


def event_source_concurrency(path: str, value: float | None, reserved: float | None) -> list[Problem]:
    """Most concurrent invocations by a queue: 2 to 1000, and no more than are reserved for the function.

    Codes `max-concurrency-range` and `max-concurrency-over-reserved`. CDK takes any that is above what is reserved:
    the queue's messages are then throttled, and each time one is it comes nearer to the dead-letter queue.

    Args:
        path: The problems' path: that of the argument.
        value: What the user gave; None for no limit.
        reserved: Of the function that is invoked.
    """
    if value is None or is_unresolved(value):
        return []
    problems = _validation.whole_number(
        "max-concurrency-range",
        path,
        value,
        2,
        1000,
        "invocations",
        "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html",
    )
    return problems or _over_reserved(
        "max-concurrency-over-reserved",
        path,
        value,
        "invocations",
        reserved,
        "invocations",
        "Messages that are throttled would end in the dead-letter queue.",
    )


def warn_of_account(
    construct: Construct, cold_start: ColdStart, reserved: float | None, account_concurrency: object
) -> None:
    """Warns of more provisioned environments than an account has, where nothing is known of the account."""
    if not isinstance(cold_start, Provisioned) or reserved is not None or account_limit(account_concurrency):
        return
    most = _most(cold_start.concurrency)
    if most > _USUAL_LIMIT - 100:
        Annotations.of(construct).add_warning_v2(
            _warnings.ACCOUNT_CONCURRENCY,
            f"Up to {most:g} provisioned environments: an account has {_USUAL_LIMIT} unless AWS has changed its quota, "
            "and 100 of them stay for functions without a reservation. Say what the account has by the CDK context "
            "cdk-onnx-inference:account-concurrency.",
        )


def _most(concurrency: ProvisionedConcurrency) -> float:
    return max((bound for _, bound in concurrency.bounds if not is_unresolved(bound)), default=0)


def account_concurrency(construct: Construct) -> object:
    """What the CDK context says of the account's quota of concurrent executions, or None."""
    return construct.node.try_get_context(_ACCOUNT_CONCURRENCY)


def account_limit(value: object) -> int | None:
    """The account's concurrency by the CDK context, which from the command line is a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _over_reserved(
    code: str, path: str, value: float, got: str, reserved: float | None, unit: str, reason: str
) -> list[Problem]:
    if reserved is None or is_unresolved(reserved) or not _validation.is_number(reserved) or value <= reserved:
        return []
    return [
        Problem(
            code,
            path,
            f"up to {value:g} {got}, with {reserved:g} reserved",
            f"at most {reserved:g} {unit}, as many as are reserved for the function",
            f"Raise reserved_concurrent_executions or leave it out, or lower this. {reason}",
        )
    ]


def _bounds(path: str, concurrency: ProvisionedConcurrency) -> list[Problem]:
    problems = []
    names = ["", *(f".schedules[{number}]" for number in range(len(concurrency.schedules)))]
    for name, (least, most) in zip(names, concurrency.bounds, strict=True):
        fix = (
            "For no environments use ColdStart.on_demand(): with 0, Lambda removes the configuration, and the next "
            f"deployment fails. {_PROVISIONED}"
        )
        wrong = _validation.whole_number(
            "provisioned-range", f"{path}{name}.min_capacity", least, 1, None, "environments", fix
        ) + _validation.whole_number(
            "provisioned-range", f"{path}{name}.max_capacity", most, 1, None, "environments", fix
        )
        if not wrong and not is_unresolved(least) and not is_unresolved(most) and most < least:
            wrong = [
                Problem(
                    "provisioned-range",
                    f"{path}{name}.max_capacity",
                    f"{most}, with min_capacity={least}",
                    f"{least} or more environments",
                    "Leave max_capacity out for a fixed number.",
                )
            ]
        problems += wrong[:1] if least is most else wrong
    return problems


def _target(path: str, concurrency: ProvisionedConcurrency) -> list[Problem]:
    if not isinstance(concurrency.statistic, UtilizationStatistic):
        return [
            Problem(
                "provisioned-statistic",
                f"{path}.statistic",
                repr(concurrency.statistic),
                "a UtilizationStatistic",
                "Give UtilizationStatistic.AVERAGE or UtilizationStatistic.MAXIMUM.",
            )
        ]
    value = concurrency.target_utilization
    if value is None or is_unresolved(value):
        return []
    got = None
    if concurrency.max_capacity is None:
        got = f"{value!r} without max_capacity"
    elif not _validation.is_number(value) or not 0.1 <= value <= 0.9:
        got = repr(value)
    if got is None:
        return []
    return [
        Problem(
            "provisioned-target-range",
            f"{path}.target_utilization",
            got,
            "0.1 to 0.9, with max_capacity",
            f"Give e.g. ProvisionedConcurrency(max_capacity=10, target_utilization=0.7). {_PROVISIONED}",
        )
    ]


def _schedules(path: str, concurrency: ProvisionedConcurrency) -> list[Problem]:
    problems = []
    names: set[str] = set()
    for number, schedule in enumerate(concurrency.schedules):
        if not schedule.name.strip() or schedule.name in names or is_unresolved(schedule.name):
            problems.append(
                Problem(
                    "provisioned-schedule",
                    f"{path}.schedules[{number}].name",
                    repr(schedule.name),
                    "a name that no other schedule of the function has, known at synth",
                    'Give e.g. name="morning".',
                )
            )
        names.add(schedule.name)
    return problems


def _warmer_concurrency(path: str, options: Warmed, reserved: float | None) -> list[Problem]:
    most = _MOST_PINGS[options.trigger]
    value = options.concurrency
    if is_unresolved(value) or type(value) is not int or not 1 <= value <= most:
        return [
            Problem(
                "warmer-concurrency-range",
                path,
                "a token" if is_unresolved(value) else repr(value),
                f"1 to {most} environments with WarmerTrigger.{options.trigger.name}, known at synth",
                "A rule has at most 5 targets: use WarmerTrigger.SCHEDULER for more."
                if options.trigger is WarmerTrigger.RULE
                else "To keep many environments ready, ColdStart.provisioned() is sure, and a warmer is not.",
            )
        ]
    return _over_reserved(
        "warmer-over-reserved", path, value, "pings at once", reserved, "pings", "Pings would throttle requests."
    )


def _warmer_interval(path: str, value: Duration | None) -> list[Problem]:
    if value is None:
        return []
    allowed = f"{', '.join(map(str, _INTERVALS[:-1]))} or {_INTERVALS[-1]} minutes, as a Duration known at synth"
    if isinstance(value, Duration):
        if not value.is_unresolved() and value.to_milliseconds() in [minutes * 60_000 for minutes in _INTERVALS]:
            return []
        got = "a token" if value.is_unresolved() else value.to_human_string()
    else:
        got = repr(value)
    return [
        Problem(
            "warmer-interval",
            path,
            got,
            allowed,
            "Give e.g. Duration.minutes(5): Lambda keeps an idle environment for some minutes, and does not say how "
            "many.",
        )
    ]


def _warmer_hold(path: str, value: Duration | None, timeout: Duration) -> list[Problem]:
    if value is None:
        return []
    known = isinstance(value, Duration) and not value.is_unresolved()
    if not known or value.to_milliseconds() > MAX_HOLD_MS:
        return [
            Problem(
                "warmer-hold-range",
                path,
                value.to_human_string() if known else repr(value),
                f"0 to {MAX_HOLD_MS // 1000} seconds, as a Duration known at synth",
                "A longer hold keeps environments from their work, and is paid for.",
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


def _warmer_hours(path: str, options: Warmed) -> list[Problem]:
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
                "A week begins with SUN. For a night, add a second Warmer: one to midnight, one from it.",
            )
        )
    zone = hours.time_zone
    if options.trigger is WarmerTrigger.RULE and zone is not None and zone.timezone_name not in _UTC:
        problems.append(
            Problem(
                "warmer-time-zone",
                f"{path}.time_zone",
                repr(zone.timezone_name),
                "UTC with WarmerTrigger.RULE",
                "Use WarmerTrigger.SCHEDULER, which knows time zones.",
            )
        )
    return problems


def _are_days(text: object) -> bool:
    """Days and ranges of them, as EventBridge counts: no range goes past Saturday."""
    if not isinstance(text, str):
        return False
    for span in text.split(","):
        ends = span.split("-")
        if len(ends) > 2 or any(end not in _DAYS for end in ends) or _DAYS.index(ends[0]) > _DAYS.index(ends[-1]):
            return False
    return True
