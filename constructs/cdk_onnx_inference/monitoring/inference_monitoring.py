"""A dashboard of a service, and alarms on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk_onnx_inference import _validation
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.api.inference_api import InferenceApi
from cdk_onnx_inference.errors import InvalidInferenceConfig, Problem
from cdk_onnx_inference.functions.inference_function import InferenceFunction
from cdk_onnx_inference.jobs.async_inference import AsyncInference
from cdk_onnx_inference.models.model_file_system import ModelFileSystem

from . import _alarm_rules, _dashboard
from .alarms import AlarmRule, Severity
from .inference_metrics import FileSystemMetrics

Thresholds = Mapping[str, Mapping[Severity, float | None]]
"""Rule -> severity -> threshold, or None for no alarm."""


class InferenceMonitoring(Construct):
    """A dashboard of a service and, when `add_alarms` is called, alarms.

    It uses metrics that exist without it. It can be added and removed at any time, and changes nothing of the service.
    A dashboard costs $3 a month beyond an account's first three; an alarm costs $0.10, or $0.20 if it watches a
    percentage (September 2026).

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces the dashboard and the alarms, with their history.
        function: The service's inference function.
        api: The service's API. Default: not shown.
        jobs: The service's asynchronous inference. Default: not shown.
        file_system: The file system with the service's models. Default: not shown.
        dashboard: Whether to make a dashboard. Default: yes.
        dashboard_name: The dashboard's name. A change replaces it. Default: a name by CDK with the names of the stack
            and of this construct.

    Attributes:
        dashboard: The dashboard, to which you can add widgets; None without one.
        rules: All rules, by name.
        alarms: The alarms that were made, by rule and severity.

    Raises:
        InvalidInferenceConfig: By `add_alarms`, with the codes `alarm-unknown`, `alarm-threshold`, `alarm-duplicate`.
    """

    dashboard: cloudwatch.Dashboard | None
    rules: Mapping[str, AlarmRule]
    alarms: dict[tuple[str, Severity], cloudwatch.Alarm]

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: InferenceFunction,
        api: InferenceApi | None = None,
        jobs: AsyncInference | None = None,
        file_system: ModelFileSystem | None = None,
        dashboard: bool = True,
        dashboard_name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        rows = [_dashboard.heading(f"Function {function.node.path}"), *_dashboard.of_function(function)]
        rules = _alarm_rules.of_function(function)
        if api is not None:
            rows += [_dashboard.heading("API"), *_dashboard.of_api(api)]
            rules += _alarm_rules.of_api(api)
        if jobs is not None:
            rows += [_dashboard.heading("Jobs"), *_dashboard.of_jobs(jobs)]
            rows += [_dashboard.heading("Worker of jobs"), *_dashboard.of_worker(jobs.worker)]
            rules += _alarm_rules.of_jobs(jobs)
        if file_system is not None:
            rows += [_dashboard.heading("File system"), *_dashboard.of_file_system(FileSystemMetrics(file_system))]
        self.rules = {rule.name: rule for rule in rules}
        self.alarms = {}
        self.dashboard = None
        if dashboard:
            self.dashboard = cloudwatch.Dashboard(
                self,
                "Dashboard",
                dashboard_name=dashboard_name,
                widgets=[[*row] for row in rows],
                period_override=cloudwatch.PeriodOverride.INHERIT,
            )

    def add_alarms(
        self,
        *,
        actions: Mapping[Severity, Sequence[cloudwatch.IAlarmAction]] | None = None,
        thresholds: Thresholds | None = None,
        without: Collection[str] = (),
    ) -> None:
        """Makes an alarm for each rule and each of its severities. Without this call there are no alarms.

        Args:
            actions: Actions of the alarms, by severity, e.g. `SnsAction(topic)`. Default: none.
            thresholds: Other thresholds, by rule and severity, in the rule's unit. None for no alarm. Default: each
                rule's own.
            without: Names of rules without alarms. Default: none.

        Raises:
            InvalidInferenceConfig: `alarm-unknown` for the name of a rule that does not exist, `alarm-threshold` for a
                threshold that is not a number of at least 0, `alarm-duplicate` for a second call.
        """
        chosen = {name: dict(of) for name, of in (thresholds or {}).items()}
        problems = self._check(chosen, without)
        if problems:
            raise InvalidInferenceConfig(problems)
        for rule in self.rules.values():
            if rule.name in without:
                continue
            for severity, threshold in {**rule.thresholds, **chosen.get(rule.name, {})}.items():
                if threshold is not None:
                    alarm = self._alarm(rule, severity, threshold)
                    alarm.add_alarm_action(*(actions or {}).get(severity, ()))
                    self.alarms[rule.name, severity] = alarm
        if self.dashboard is not None and self.alarms:
            self.dashboard.add_widgets(
                cloudwatch.AlarmStatusWidget(title="Alarms", alarms=[*self.alarms.values()], width=24)
            )

    def _alarm(self, rule: AlarmRule, severity: Severity, threshold: float) -> cloudwatch.Alarm:
        words = [*rule.name.split("-"), severity.value]
        return cloudwatch.Alarm(
            self,
            "".join(word.capitalize() for word in words),
            metric=rule.metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=f"{severity.value.upper()} {rule.name} above {threshold:g} {rule.unit}. {rule.meaning}",
        )

    def _check(self, thresholds: Thresholds, without: Collection[str]) -> list[Problem]:
        path = f"{self.node.path}.add_alarms"
        problems = []
        if self.alarms:
            problems.append(
                Problem("alarm-duplicate", path, "a second call", "one", "Give all thresholds and actions in one call.")
            )
        for argument, names in (("thresholds", thresholds), ("without", without)):
            problems += [
                Problem("alarm-unknown", f"{path}.{argument}", repr(name), ", ".join(self.rules), "Name one of these.")
                for name in names
                if name not in self.rules
            ]
        for name, of in thresholds.items():
            for severity, value in of.items():
                if value is None or is_unresolved(value) or (_validation.is_number(value) and value >= 0):
                    continue
                unit = self.rules[name].unit if name in self.rules else "the rule's unit"
                problems.append(
                    Problem(
                        "alarm-threshold",
                        f"{path}.thresholds[{name!r}][{severity.name}]",
                        repr(value),
                        f"a number of at least 0, in {unit}, or None",
                        "An alarm goes off above its threshold.",
                    )
                )
        return problems
