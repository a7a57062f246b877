"""A further function of a service. It has the same image with another command, so that there is only one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_onnx_inference import _environment
from cdk_onnx_inference.cold_start.cold_start import ColdStart

from ._live_function import LiveFunction, Service


class ServiceFunction(LiveFunction):
    """A function of a service beside its inference function, e.g. the worker of `AsyncInference`.

    It runs the service's image with another command, and has its own role, log group, versions and alias `live`. Only
    the library's constructs make it. It is public for its attributes and its metrics.

    Attributes:
        function: The function. Do not invoke it directly.
        version: Its current version.
        alias: The alias `live`, which is invoked.
        role: Its role.
        log_group: Where its logs go. It is retained when the stack is deleted; events expire after one month.
        timeout: Longest run of one invocation.
        cold_start: What is done about cold starts.
        reserved_concurrent_executions: Environments that are reserved for the function, or None.
        scalable_target: The scalable target of the alias, if its provisioned concurrency is scaled; else None.
        warmer: The warmer, with `ColdStart.warmer()`; else None.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: Service,
        command: str,
        description: str,
        memory_size: int,
        timeout: Duration,
        environment: Mapping[str, str],
        policies: Mapping[str, Sequence[iam.PolicyStatement]],
        with_models: bool = False,
        takes_events: bool = False,
        cold_start: ColdStart | None = None,
        reserved_concurrent_executions: float | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.timeout = timeout
        self.cold_start = ColdStart.on_demand() if cold_start is None else cold_start
        self.reserved_concurrent_executions = reserved_concurrent_executions
        self.log_group = logs.LogGroup(self, "LogGroup", retention=logs.RetentionDays.ONE_MONTH)
        self._make(
            service,
            command=command,
            description=description,
            role_description=f"{description}, {self.node.path}",
            with_models=with_models,
            takes_events=takes_events,
            memory_size=memory_size,
            environment=variables(service, environment, with_models=with_models),
            policies=policies,
        )


def variables(service: Service, environment: Mapping[str, str], *, with_models: bool) -> dict[str, str]:
    """All variables of such a function: its own, and those that the service's functions have in common."""
    if with_models:
        return {**service.environment, **environment}
    return {_environment.METRICS_NAMESPACE: service.metrics_namespace, **environment}
