"""Checks provisioned concurrency: its numbers, and what is reserved for the function or left in the account."""

from __future__ import annotations

from aws_cdk import Annotations
from constructs import Construct

from cdk_onnx_inference import _validation, _warnings
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from . import _concurrency
from .cold_start import ColdStart, Provisioned
from .provisioned_concurrency import ProvisionedConcurrency, UtilizationStatistic

_ACCOUNT_CONTEXT = "cdk-onnx-inference:account-concurrency"
_ACCOUNT_DEFAULT = 1000
_UNRESERVED = 100
"""Concurrency of the account that Lambda always keeps for functions without a reservation."""

_PROVISIONED = "https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html"


def check(
    construct: Construct, path: str, concurrency: ProvisionedConcurrency, *, reserved: float | None
) -> list[Problem]:
    """All problems of provisioned concurrency. CDK takes 0 for none, and accepts more than is reserved.

    Args:
        construct: The construct, for the account's concurrency in the CDK context.
        path: Prefix of the problems' paths.
        concurrency: What the user gave.
        reserved: Environments that are reserved for the function, or None.
    """
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
    problems += _concurrency.over_reserved(
        "provisioned-over-reserved", path, most, "provisioned", reserved, "provisioned environments", _PROVISIONED
    )
    limit = _account_limit(construct)
    if reserved is None and limit is not None and most > limit - _UNRESERVED:
        problems.append(
            Problem(
                "provisioned-over-account",
                path,
                f"up to {most:g} environments, in an account with {limit}",
                f"at most {max(limit - _UNRESERVED, 0)}: {_UNRESERVED} stay for functions without a reservation",
                f"Lower max_capacity, or have the quota raised and then the CDK context. {_PROVISIONED}",
            )
        )
    return problems


def warn_of_account(construct: Construct, cold_start: ColdStart, reserved: float | None) -> None:
    """Warns of more provisioned environments than an account has by default, if its concurrency is not known."""
    if not isinstance(cold_start, Provisioned) or reserved is not None or _account_limit(construct):
        return
    most = _most(cold_start.concurrency)
    if most > _ACCOUNT_DEFAULT - _UNRESERVED:
        Annotations.of(construct).add_warning_v2(
            _warnings.ACCOUNT_CONCURRENCY,
            f"Up to {most:g} provisioned environments: an account has {_ACCOUNT_DEFAULT} unless AWS has changed its "
            f"quota, and {_UNRESERVED} of them stay for functions without a reservation. Set the CDK context "
            f"{_ACCOUNT_CONTEXT} to the account's quota.",
        )


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


def _most(concurrency: ProvisionedConcurrency) -> float:
    return max((bound for _, bound in concurrency.bounds if not is_unresolved(bound)), default=0)


def _account_limit(construct: Construct) -> int | None:
    """The account's quota of concurrent executions by the CDK context, or None. The command line gives a string."""
    value = construct.node.try_get_context(_ACCOUNT_CONTEXT)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else None
