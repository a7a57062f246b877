"""Applies a `ColdStart` to a function, its version and its alias, for every kind of function of this library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations, RemovalPolicy
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from . import _scaling
from .cold_start import ColdStart, Provisioned, SnapStart, Warmed
from .warmer import Warmer

if TYPE_CHECKING:
    from cdk_onnx_inference.functions._live_function import LiveFunction


def snap_start_of(cold_start: ColdStart) -> lambda_.SnapStartConf | None:
    """The function's `snap_start`."""
    return lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if isinstance(cold_start, SnapStart) else None


def version_options(cold_start: ColdStart) -> lambda_.VersionOptions:
    """The function's `current_version_options`. Old versions are retained, unless they would cost money."""
    deleted = isinstance(cold_start, SnapStart) and not cold_start.keep_old_versions
    return lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY if deleted else RemovalPolicy.RETAIN)


def live_alias(scope: Construct, version: lambda_.Version, cold_start: ColdStart) -> lambda_.Alias:
    """Makes the alias, with its initial number of provisioned environments."""
    initial = cold_start.concurrency.min_capacity if isinstance(cold_start, Provisioned) else None
    return lambda_.Alias(scope, "Alias", alias_name="live", version=version, provisioned_concurrent_executions=initial)


def keep_ready(function: LiveFunction) -> tuple[autoscaling.ScalableTarget | None, Warmer | None]:
    """Makes the scaling or the warmer of an alias, if the function's `cold_start` asks for one."""
    cold_start = function.cold_start
    if isinstance(cold_start, SnapStart):
        Annotations.of(function.function).acknowledge_warning(
            "@aws-cdk/aws-lambda:snapStartRequirePublish", "The alias has a published version."
        )
    if isinstance(cold_start, Provisioned):
        return _scaling.add(function.alias, cold_start.concurrency), None
    if isinstance(cold_start, Warmed):
        return None, _warmer(function, cold_start)
    return None, None


def _warmer(function: LiveFunction, options: Warmed) -> Warmer:
    return Warmer(
        function,
        "Warmer",
        function=function,
        concurrency=options.concurrency,
        interval=options.interval,
        hold=options.hold,
        hours=options.hours,
        touch=options.touch,
        trigger=options.trigger,
    )
