"""Further functions of a service: the same image with another command, so that there is one image to build and keep."""

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

    It runs the service's image with a command of its own, and has a role, a log group, versions and an alias `live` of
    its own. The library's constructs make it; it is public for its attributes, and its metrics.

    Attributes:
        function: The function. Not to be invoked directly.
        version: Its current version.
        alias: The alias `live`: what invokes it.
        role: Its role.
        log_group: Where its logs go; retained when the stack is deleted, events expire after one month.
        timeout: Longest run of one invocation.
        cold_start: What is done about cold starts.
        reserved_concurrent_executions: Environments that are reserved for the function, or None.
        scalable_target: Of the alias's provisioned concurrency, where it is scaled; else None.
        warmer: With `ColdStart.warmer()`; else None.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: Service,
        command: str,
        description: str,
        with_models: bool,
        takes_events: bool,
        memory_size: int,
        timeout: Duration,
        environment: Mapping[str, str],
        policies: Mapping[str, Sequence[iam.PolicyStatement]],
        cold_start: ColdStart | None = None,
        reserved_concurrent_executions: float | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.timeout = timeout
        self.cold_start = ColdStart.on_demand() if cold_start is None else cold_start
        self.reserved_concurrent_executions = reserved_concurrent_executions
        self.log_group = logs.LogGroup(self, "LogGroup", retention=logs.RetentionDays.ONE_MONTH)
        self.role = self._make_role(
            f"{description}, {self.node.path}",
            in_vpc=with_models and service.vpc is not None,
            mount_access=service.mount_access if with_models else None,
            further=policies,
        )
        self._make(
            service,
            command=command,
            memory_size=memory_size,
            environment=variables(service, environment, with_models=with_models),
            with_models=with_models,
            takes_events=takes_events,
            description=description,
        )


def variables(service: Service, environment: Mapping[str, str], *, with_models: bool) -> dict[str, str]:
    """All variables of such a function."""
    if with_models:
        return {**service.environment, **environment}
    return {_environment.METRICS_NAMESPACE: service.metrics_namespace, **environment}
