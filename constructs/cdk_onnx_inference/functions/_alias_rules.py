"""Checks at synth what was done to a function and its alias after they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsii
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_
from constructs import IValidation

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.cold_start import _concurrency
from cdk_onnx_inference.cold_start.cold_start import OnDemand
from cdk_onnx_inference.errors import Problem

if TYPE_CHECKING:
    from ._live_function import LiveFunction


@jsii.implements(IValidation)
class AliasRules:
    """What CDK accepts, but Lambda refuses at deployment or does wrong at run time.

    Args:
        live: The function with its alias.
        takes_events: Whether the function's command understands the events of a queue or stream. A command that speaks
            HTTP answers them with a 400. The queue takes that for success, and the messages are lost.
    """

    def __init__(self, live: LiveFunction, *, takes_events: bool) -> None:
        self._live = live
        self._takes_events = takes_events

    def validate(self) -> list[str]:
        """The problems, one line each, with their codes."""
        return [str(problem) for problem in (*self._provisioned(), *self._event_sources())]

    def _provisioned(self) -> list[Problem]:
        alias, function = self._live.alias.node.default_child, self._live.function.node.default_child
        assert isinstance(alias, lambda_.CfnAlias)
        assert isinstance(function, lambda_.CfnFunction)
        initial = alias.provisioned_concurrency_config is not None
        targets = [made for made in self._live.alias.node.find_all() if isinstance(made, autoscaling.CfnScalableTarget)]
        scaled = bool(targets)
        snap_start = function.snap_start is not None
        problems = []
        if (initial or scaled) and alias.routing_config is not None:
            problems.append(
                Problem(
                    "alias-weights",
                    f"{self._live.node.path}.alias",
                    "weights on an alias with provisioned concurrency",
                    "weights that CodeDeploy moves, or provisioned concurrency alone",
                    "Use aws_codedeploy.LambdaDeploymentGroup(alias=...) in place of weights: Lambda refuses the "
                    "deployment with weights by hand, and its rollback too.",
                )
            )
        if (initial or scaled) and snap_start:
            problems.append(self._excluded("with SnapStart"))
        elif scaled and not initial:
            problems.append(
                self._excluded(
                    "without an initial value" if isinstance(self._live.cold_start, OnDemand) else "and a warmer"
                )
            )
        for target in targets:
            if not is_unresolved(target.min_capacity) and target.min_capacity < 1:
                problems.append(
                    Problem(
                        "provisioned-range",
                        target.node.path,
                        f"{target.min_capacity:g}",
                        "1 or more environments",
                        "At 0 Lambda removes the configuration, and the next deployment fails.",
                    )
                )
        if (initial or scaled or snap_start) and function.tenancy_config is not None:
            problems.append(
                Problem(
                    "tenant-isolation",
                    f"{self._live.node.path}.function",
                    "tenant isolation with provisioned concurrency or SnapStart",
                    "tenant isolation with environments that start on demand",
                    "Use ColdStart.on_demand(), or a function for each tenant.",
                )
            )
        return problems

    def _excluded(self, how: str) -> Problem:
        return Problem(
            "provisioned-excluded",
            f"{self._live.node.path}.alias",
            f"provisioned concurrency {how}",
            "provisioned concurrency by cold_start= alone",
            "Give the function cold_start=ColdStart.provisioned(ProvisionedConcurrency(...)) in place of what it has.",
        )

    def _event_sources(self) -> list[Problem]:
        problems = []
        for mapping in self._live.alias.node.find_all():
            if not isinstance(mapping, lambda_.CfnEventSourceMapping):
                continue
            if not self._takes_events:
                problems.append(
                    Problem(
                        "event-source-unsupported",
                        mapping.node.path,
                        "events of a queue or stream for a function that speaks HTTP",
                        "requests through an API, a function URL, a load balancer or an SDK",
                        "Put requests on the queue of an AsyncInference instead: here each message would be answered "
                        "with an error, and deleted.",
                    )
                )
            scaling = mapping.scaling_config
            if isinstance(scaling, lambda_.CfnEventSourceMapping.ScalingConfigProperty):
                problems += _concurrency.of_event_source(
                    mapping.node.path, scaling.maximum_concurrency, self._live.reserved_concurrent_executions
                )
        return problems
