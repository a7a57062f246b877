"""Checks of single values. Each returns the problems that it found, and raises nothing.

They check what CDK accepts although it is wrong, or rejects without a clear cause. A value that is known only at
deployment (a token) passes every check: CloudFormation will judge it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from aws_cdk import Duration, Size
from aws_cdk import aws_ec2 as ec2

from . import _environment
from ._tokens import KNOWN_AT_DEPLOYMENT, is_unresolved
from .errors import Problem

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MODEL_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")
_VARIABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_NAMESPACE = re.compile(r"[0-9A-Za-z.\-_/#:]{1,255}")
_MOUNT_PATH = re.compile(r"/mnt/[A-Za-z0-9_.-]+")
_LAMBDA_LIMITS = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
_MIB = 1024 * 1024


def memory_size(path: str, value: float) -> list[Problem]:
    """128 to 10240 MB, a whole number. CDK accepts anything. CloudFormation's limit is that of another compute type."""
    return whole_number("memory-size-range", path, value, 128, 10240, "MB", f"1769 MB give one vCPU. {_LAMBDA_LIMITS}")


def timeout(path: str, value: Duration) -> list[Problem]:
    """1 to 900 whole seconds."""
    if isinstance(value, Duration):
        if value.is_unresolved():
            return []
        milliseconds = value.to_milliseconds()
        if milliseconds % 1000 == 0 and 1000 <= milliseconds <= 900_000:
            return []
    return [
        Problem(
            "timeout-range",
            path,
            duration_text(value),
            "1 to 900 whole seconds, as a Duration",
            f"Give e.g. Duration.seconds(30). {_LAMBDA_LIMITS}",
        )
    ]


def ephemeral_storage_size(path: str, value: Size | None) -> list[Problem]:
    """512 to 10240 MiB. CDK checks this too, but reports it alone and does not say where."""
    if value is None:
        return []
    allowed, fix = "512 to 10240 whole MiB, as a Size", f"Give e.g. Size.mebibytes(1024). {_LAMBDA_LIMITS}"
    if not isinstance(value, Size):
        return [Problem("ephemeral-storage-range", path, repr(value), allowed, fix)]
    if value.is_unresolved():
        return []
    size = value.to_bytes()
    if size % _MIB == 0 and 512 <= size // _MIB <= 10240:
        return []
    return [Problem("ephemeral-storage-range", path, f"{size / _MIB:g} MiB", allowed, fix)]


def reserved_concurrent_executions(path: str, value: float | None) -> list[Problem]:
    """0 or more. 0 stops the function."""
    if value is None:
        return []
    return whole_number(
        "reserved-concurrency-range",
        path,
        value,
        0,
        None,
        "environments",
        "0 stops the function; leave the argument out for no reservation.",
    )


def model_name(path: str, value: str) -> list[Problem]:
    """A name that can be one segment of a URL without escaping."""
    if isinstance(value, str) and (is_unresolved(value) or _MODEL_NAME.fullmatch(value)):
        return []
    return [
        Problem(
            "model-name",
            path,
            repr(value),
            "1 to 64 letters, digits, '_', '.' and '-', the first a letter or digit",
            "Give another name=; it is part of the URL, /v2/models/{name}/infer.",
        )
    ]


def model_version(path: str, value: str) -> list[Problem]:
    """A decimal number as a string, as in the version directories of a model repository."""
    if isinstance(value, str) and (is_unresolved(value) or _MODEL_VERSION.fullmatch(value)):
        return []
    return [
        Problem(
            "model-version",
            path,
            repr(value),
            "a decimal number without leading zeros, as a string",
            'Give e.g. version="2".',
        )
    ]


def metrics_namespace(path: str, value: str) -> list[Problem]:
    """A namespace that CloudWatch accepts. It silently drops metrics in others."""
    if is_unresolved(value) or (_NAMESPACE.fullmatch(value) and not value.startswith("AWS/")):
        return []
    return [
        Problem(
            "metrics-namespace",
            path,
            repr(value),
            "1 to 255 letters, digits and . - _ / # :, not beginning with AWS/",
            "Give e.g. OnnxInference. "
            "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html",
        )
    ]


def environment(path: str, value: Mapping[str, str]) -> list[Problem]:
    """Names that Lambda accepts, and that neither Lambda nor the handler uses itself."""
    problems = []
    for name in value:
        if is_unresolved(name):
            continue
        if name in _environment.NAMES:
            problems.append(
                Problem(
                    "environment-reserved",
                    path,
                    repr(name),
                    "names that the constructs do not write themselves",
                    "Use the argument that is meant for it: model=, processing= or metrics_namespace=.",
                )
            )
        elif name in _environment.SET_BY_LAMBDA:
            problems.append(
                Problem(
                    "environment-reserved",
                    path,
                    repr(name),
                    "names that Lambda does not set itself",
                    "Leave it out: the deployment would fail.",
                )
            )
        elif not _VARIABLE_NAME.fullmatch(name):
            problems.append(
                Problem(
                    "environment-name",
                    path,
                    repr(name),
                    "at least two letters, digits and underscores, the first a letter",
                    "Rename the variable: the deployment would fail.",
                )
            )
    return problems


def reason(path: str, value: str) -> list[Problem]:
    """A reason that a reviewer can judge. It is kept in the template."""
    if is_unresolved(value):
        return []
    if value.strip() and len(value) <= 500:
        return []
    return [
        Problem(
            "reason-missing",
            path,
            repr(value) if len(value) <= 500 else f"{len(value)} characters",
            "1 to 500 characters that are not blank",
            "Say why this is safe here, e.g. reason='reachable from the internal network only'.",
        )
    ]


def vpc_of_subnets(path: str, vpc: ec2.IVpc | None, *belonging: object) -> list[Problem]:
    """A VPC is given if something is given that belongs to one."""
    if vpc is not None or all(item is None for item in belonging):
        return []
    return [
        Problem(
            "vpc-missing",
            path,
            "None, with vpc_subnets or security_groups",
            "the VPC that these belong to",
            "Give vpc= as well, or leave them out.",
        )
    ]


def vpc_of_file_system(path: str, vpc: ec2.IVpc | None, expected: ec2.IVpc) -> list[Problem]:
    """The VPC is the file system's."""
    if vpc is None or vpc.node.path == expected.node.path:
        return []
    got, allowed = vpc.vpc_id, expected.vpc_id
    if isinstance(vpc, ec2.Vpc) and isinstance(expected, ec2.Vpc):  # two constructs are two VPCs
        got, allowed = vpc.node.path, expected.node.path
    elif is_unresolved(got) or is_unresolved(allowed) or got == allowed:
        return []
    return [
        Problem(
            "vpc-of-file-system",
            path,
            f"{got!r}",
            f"{allowed!r}, the VPC of the file system with the model",
            "Leave vpc= out: the function runs in the file system's VPC.",
        )
    ]


def mount_path(path: str, value: str) -> list[Problem]:
    """`/mnt/` and one name. CDK checks this too, but later, reports it alone, and accepts the names `.` and `..`."""
    if is_unresolved(value):
        return []
    if _MOUNT_PATH.fullmatch(value) and len(value) <= 160 and value.rsplit("/", 1)[1].strip("."):
        return []
    return [
        Problem(
            "mount-path",
            path,
            repr(value),
            "/mnt/ and one name of letters, digits, '_', '.' and '-', at most 160 characters",
            "Give e.g. /mnt/models. https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem-efs.html",
        )
    ]


def keep_versions(path: str, value: float) -> list[Problem]:
    """2 to 100: during a deployment the version that still serves needs its model, beside the new one."""
    return whole_number(
        "keep-versions-range", path, value, 2, 100, "models", "The newest is one of them, the one before it another."
    )


def positive(code: str, path: str, value: float, *, whole: bool, unit: str, fix: str) -> list[Problem]:
    """A number above zero."""
    if is_unresolved(value):
        return []
    if is_number(value) and value > 0 and (not whole or value == int(value)):
        return []
    allowed = f"a {'whole number' if whole else 'number'} above 0, {unit}"
    return [Problem(code, path, repr(value), allowed, fix)]


def not_empty(code: str, path: str, value: str | tuple[str, ...], *, allowed: str, fix: str) -> list[Problem]:
    """A string, or a tuple of strings, of which none is blank."""
    texts = (value,) if isinstance(value, str) else value
    if texts and all(is_unresolved(text) or text.strip() for text in texts):
        return []
    return [Problem(code, path, repr(value), allowed, fix)]


def whole_units(
    code: str, path: str, value: Duration, unit: Literal["seconds", "minutes"], minimum: int, maximum: int
) -> list[Problem]:
    """A duration of whole seconds or minutes within bounds."""
    if isinstance(value, Duration):
        if value.is_unresolved():
            return []
        amount = value.to_milliseconds() / {"seconds": 1000, "minutes": 60_000}[unit]
        if amount == int(amount) and minimum <= amount <= maximum:
            return []
    return [
        Problem(
            code,
            path,
            duration_text(value),
            f"{minimum} to {maximum} {unit}, a whole number, as a Duration",
            f"Give e.g. Duration.{unit}({minimum}).",
        )
    ]


def duration_text(value: object) -> str:
    """What was given for a duration, as problems show it."""
    if not isinstance(value, Duration):
        return repr(value)
    return KNOWN_AT_DEPLOYMENT if value.is_unresolved() else value.to_human_string()


def whole_number(
    code: str, path: str, value: Any, minimum: int, maximum: int | None, unit: str, fix: str
) -> list[Problem]:
    """A whole number within bounds. `maximum` may be None."""
    if is_unresolved(value):
        return []
    if is_number(value) and value == int(value) and value >= minimum and (maximum is None or value <= maximum):
        return []
    span = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"
    return [Problem(code, path, repr(value), f"{span} {unit}, a whole number", fix)]


def is_number(value: Any) -> bool:
    """Whether it is a finite number and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
