"""Checks the argument `cold_start=` against the rest of the function, and against what Lambda excludes."""

from __future__ import annotations

from aws_cdk import Duration, Size, Stack
from constructs import Construct

from cdk_onnx_inference.errors import Problem

from . import _provisioned_validation, _warmer_validation
from .cold_start import KINDS, ColdStart, Provisioned, SnapStart, Warmed

_NO_SNAP_START = {"ap-southeast-6": "New Zealand", "ap-east-2": "Taipei"}
_SNAP_START_TMP = 512
_SNAP_START = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"


def check(
    construct: Construct,
    cold_start: ColdStart,
    *,
    timeout: Duration,
    reserved: float | None,
    on_file_system: bool,
    storage: Size | None,
) -> list[Problem]:
    """All problems of a function's `cold_start`.

    Args:
        construct: The construct with the argument.
        cold_start: What the user chose.
        timeout: Longest run of one invocation.
        reserved: Environments that are reserved for the function, or None.
        on_file_system: Whether a model is on a file system.
        storage: Size of `/tmp`, enough for downloaded models; None for Lambda's default of 512 MiB.
    """
    path = f"{construct.node.path}.cold_start"
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
        return _warmer_validation.check(path, cold_start, timeout=timeout, reserved=reserved)
    if isinstance(cold_start, Provisioned):
        return _provisioned_validation.check(construct, path, cold_start.concurrency, reserved=reserved)
    if isinstance(cold_start, SnapStart):
        return _snap_start(path, on_file_system=on_file_system, storage=storage, region=Stack.of(construct).region)
    return []


def _snap_start(path: str, *, on_file_system: bool, storage: Size | None, region: str) -> list[Problem]:
    """What SnapStart excludes. CDK checks some of it, but reports one problem at a time and does not know S3 Files."""
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
