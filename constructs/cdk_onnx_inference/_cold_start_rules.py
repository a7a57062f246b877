"""Checks at synth of what was done to a function's resources after the construct had made them."""

from __future__ import annotations

import jsii
from aws_cdk import aws_lambda as lambda_
from constructs import IValidation, Node

from .cold_start import ColdStart, OnDemand
from .errors import Problem


@jsii.implements(IValidation)
class ColdStartRules:
    """What Lambda refuses at deployment, and CDK does not: a rule is told as a `Problem` is, with a stable code.

    Args:
        node: Of the construct, for the problems' path.
        function: Of it.
        alias: Of it.
        cold_start: What was chosen.
    """

    def __init__(self, *, node: Node, function: lambda_.Function, alias: lambda_.Alias, cold_start: ColdStart) -> None:
        self._node = node
        self._function = function
        self._alias = alias
        self._cold_start = cold_start

    def validate(self) -> list[str]:
        """The problems, each as one line."""
        alias, function = self._alias.node.default_child, self._function.node.default_child
        assert isinstance(alias, lambda_.CfnAlias)
        assert isinstance(function, lambda_.CfnFunction)
        scaling = self._alias.node.try_find_child("AliasScaling") is not None
        provisioned = alias.provisioned_concurrency_config is not None or scaling
        problems = []
        if provisioned and alias.routing_config is not None:
            problems.append(
                Problem(
                    "alias-weights",
                    f"{self._node.path}.alias",
                    "weights on an alias with provisioned concurrency",
                    "weights that CodeDeploy moves, or provisioned concurrency alone",
                    "Use aws_codedeploy.LambdaDeploymentGroup(alias=...) in place of weights: with weights by hand, "
                    "Lambda refuses the configuration, and taking it back is refused too.",
                )
            )
        if provisioned and function.snap_start is not None:
            problems.append(self._excluded("SnapStart"))
        if (provisioned or function.snap_start is not None) and function.tenancy_config is not None:
            problems.append(
                Problem(
                    "tenant-isolation",
                    f"{self._node.path}.function",
                    "tenant isolation with provisioned concurrency or SnapStart",
                    "tenant isolation with environments that start on demand",
                    "Use ColdStart.on_demand(), or a function for each tenant.",
                )
            )
        if scaling and alias.provisioned_concurrency_config is None and function.snap_start is None:
            if isinstance(self._cold_start, OnDemand):
                problems.append(self._excluded("no initial value"))
            else:
                problems.append(self._excluded("a warmer"))
        return [str(problem) for problem in problems]

    def _excluded(self, what: str) -> Problem:
        return Problem(
            "provisioned-excluded",
            f"{self._node.path}.alias",
            f"provisioned concurrency with {what}",
            "provisioned concurrency by cold_start= alone",
            "Give the function cold_start=ColdStart.provisioned(ProvisionedConcurrency(...)) in place of what it has.",
        )
