"""Puts what was chosen about cold starts into effect, for every kind of function that this library makes."""

from __future__ import annotations

from typing import Protocol

from aws_cdk import Annotations, RemovalPolicy
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_onnx_inference.functions._alias_rules import AliasRules

from . import _scaling
from .cold_start import ColdStart, Provisioned, SnapStart, Warmed
from .warmer import HasLiveAlias, Warmer


class Startable(HasLiveAlias, Protocol):
    """A construct with a function, and with its alias."""

    @property
    def function(self) -> lambda_.DockerImageFunction:
        """What the alias is of."""


def snap_start_of(cold_start: ColdStart) -> lambda_.SnapStartConf | None:
    """For the function."""
    return lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if isinstance(cold_start, SnapStart) else None


def version_options(cold_start: ColdStart) -> lambda_.VersionOptions:
    """For the function's version: one that a newer takes the place of stays, unless it would be paid for."""
    goes = isinstance(cold_start, SnapStart) and not cold_start.keep_old_versions
    return lambda_.VersionOptions(removal_policy=RemovalPolicy.DESTROY if goes else RemovalPolicy.RETAIN)


def live_alias(scope: Construct, version: lambda_.Version, cold_start: ColdStart) -> lambda_.Alias:
    """The alias, with the first number of provisioned environments."""
    initial = cold_start.concurrency.min_capacity if isinstance(cold_start, Provisioned) else None
    return lambda_.Alias(scope, "Alias", alias_name="live", version=version, provisioned_concurrent_executions=initial)


def keep_ready(
    construct: Construct, startable: Startable, *, takes_events: bool
) -> tuple[autoscaling.ScalableTarget | None, Warmer | None]:
    """What comes after the alias: scaling or a warmer, and the checks of what users add.

    Args:
        construct: The scope of a warmer; the same as `startable`, which says what it has.
        startable: What is kept ready.
        takes_events: See `AliasRules`.

    Returns:
        The scalable target and the warmer, where there is one.
    """
    cold_start = startable.cold_start
    if isinstance(cold_start, SnapStart):
        Annotations.of(startable.function).acknowledge_warning(
            "@aws-cdk/aws-lambda:snapStartRequirePublish", "The alias has a published version."
        )
    construct.node.add_validation(
        AliasRules(
            node=construct.node,
            function=startable.function,
            alias=startable.alias,
            cold_start=cold_start,
            reserved=startable.reserved_concurrent_executions,
            takes_events=takes_events,
        )
    )
    if isinstance(cold_start, Provisioned):
        return _scaling.add(startable.alias, cold_start.concurrency), None
    if isinstance(cold_start, Warmed):
        return None, Warmer.of(construct, "Warmer", startable, cold_start)
    return None, None
