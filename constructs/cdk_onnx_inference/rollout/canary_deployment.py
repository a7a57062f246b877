"""Shifts traffic to a new version step by step, and back if the version fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Annotations, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from cdk_onnx_inference import _environment, _permissions, _validation, _warnings
from cdk_onnx_inference.cold_start.cold_start import Provisioned
from cdk_onnx_inference.errors import InvalidInferenceConfig, Problem
from cdk_onnx_inference.functions.inference_function import InferenceFunction
from cdk_onnx_inference.functions.service_function import ServiceFunction
from cdk_onnx_inference.image import _commands
from cdk_onnx_inference.models._served_model import ServedModel

from . import _golden_directories
from .goldens import AnyGoldens, Goldens
from .traffic_shift import AllAtOnce, AnyTrafficShift, Canary, TrafficShift

_MEMORY_SIZE = 512


@dataclass(frozen=True, slots=True)
class _Samples:
    """The golden samples of one model, in S3."""

    model: ServedModel
    asset: s3_assets.Asset


class CanaryDeployment(Construct):
    """Uses CodeDeploy to shift the traffic of a function's alias to each new version, and back if something is wrong.

    When an update of the stack publishes a new version:

    1. A hook sends the golden samples of the models to the new version, which has no traffic yet. If a response is
       missing or outside of the samples' tolerances, the deployment fails and the alias does not change.
    2. The traffic is shifted, at once or in steps. If an alarm goes off meanwhile, it is shifted back.
    3. A second hook sends the samples again, to the alias.

    The update of the stack waits for all of this, and is rolled back if it fails. At the first deployment of a stack
    there is no old version: CloudFormation makes the alias without CodeDeploy, and no hook runs.

    It makes a CodeDeploy application and deployment group, an alarm, two functions with the service's image and, for
    each model, an asset with its samples. It costs little: CodeDeploy is free for Lambda, the hooks run for seconds at
    each deployment, and the alarm costs $0.10 a month.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything that it makes, and nothing of the function.
        function: The function. It can have one `CanaryDeployment`.
        shift: How the traffic is shifted. A change updates in place. Default: 10 % for 5 minutes, and then the rest.
        goldens: The samples that the new version must answer. Default: those of the models' packages.
        alarms: Further alarms that stop a shift. Default: only the alarm on errors of the new version.
        hook_timeout: Longest run of a hook, 30 to 900 whole seconds. Within it the new version starts and answers all
            samples. A change updates in place. Default: 5 minutes.

    Attributes:
        application: The CodeDeploy application.
        deployment_group: Its deployment group.
        errors: The alarm on errors of the new version.
        pre_traffic: The hook that sends samples to the new version; None without samples.
        post_traffic: The hook that sends samples to the alias; None without samples.

    Raises:
        InvalidInferenceConfig: With the codes `goldens-missing`, `goldens-invalid`, `goldens-unknown`,
            `goldens-processing`, `reason-missing`, `traffic-shift-percentage`, `traffic-shift-interval`,
            `canary-provisioned-scaling`, `canary-duplicate`, `timeout-range`.

    Warns, in CDK's way:
        `cdk-onnx-inference:canary-provisioned`.
    """

    application: codedeploy.LambdaApplication
    deployment_group: codedeploy.LambdaDeploymentGroup
    errors: cloudwatch.Alarm
    pre_traffic: ServiceFunction | None
    post_traffic: ServiceFunction | None

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: InferenceFunction,
        shift: AnyTrafficShift | None = None,
        goldens: AnyGoldens | None = None,
        alarms: Sequence[cloudwatch.IAlarm] = (),
        hook_timeout: Duration | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        shift = TrafficShift.canary() if shift is None else shift
        goldens = Goldens.of_packages() if goldens is None else goldens
        hook_timeout = Duration.minutes(5) if hook_timeout is None else hook_timeout
        path = self.node.path
        found, problems = _golden_directories.find(f"{path}.goldens", function._service, goldens)
        problems += _shift_problems(f"{path}.shift", shift, function)
        problems += _validation.whole_units("timeout-range", f"{path}.hook_timeout", hook_timeout, "seconds", 30, 900)
        if _has_deployment_group(function.alias):
            problems.append(
                Problem(
                    "canary-duplicate",
                    f"{path}.function",
                    f"{function.node.path}, whose alias has a deployment group",
                    "a function without one",
                    "Keep one of the two.",
                )
            )
        if problems:
            raise InvalidInferenceConfig(problems)

        self.application = codedeploy.LambdaApplication(self, "Application")
        self.errors = self._errors(function)
        self.deployment_group = codedeploy.LambdaDeploymentGroup(
            self,
            "DeploymentGroup",
            application=self.application,
            alias=function.alias,
            deployment_config=self._deployment_config(shift),
            alarms=[self.errors, *alarms],
            auto_rollback=codedeploy.AutoRollbackConfig(
                failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
            ),
        )
        self.pre_traffic = self.post_traffic = None
        if found:
            samples = [
                _Samples(model, s3_assets.Asset(self, f"Goldens{number}", path=str(directory)))
                for number, (model, directory) in enumerate(found)
            ]
            live = f"{function.function.function_arn}:{function.alias.alias_name}"
            self.pre_traffic = self._hook(
                "PreTraffic", function, function.version.function_arn, samples, hook_timeout, "the new version"
            )
            self.post_traffic = self._hook("PostTraffic", function, live, samples, hook_timeout, "the alias")
            self.deployment_group.add_pre_hook(self.pre_traffic.function)
            self.deployment_group.add_post_hook(self.post_traffic.function)
            # CodeDeploy invokes the hooks while the alias is updated. They must have their permissions by then.
            function.alias.node.add_dependency(self.pre_traffic.role, self.post_traffic.role)
        if isinstance(function.cold_start, Provisioned) and not isinstance(shift, AllAtOnce):
            Annotations.of(self).add_warning_v2(
                _warnings.CANARY_PROVISIONED,
                "While traffic is split, an alias's provisioned concurrency cannot be changed, and AWS does not "
                "promise it for the new version: requests may meet cold starts. TrafficShift.all_at_once() avoids "
                "that.",
            )

    def _hook(
        self,
        construct_id: str,
        function: InferenceFunction,
        target: str,
        samples: Sequence[_Samples],
        timeout: Duration,
        whom: str,
    ) -> ServiceFunction:
        goldens = [
            {"model": of.model.name, "version": of.model.source.version, "uri": of.asset.s3_object_url}
            for of in samples
        ]
        objects = [of.asset.bucket.arn_for_objects(of.asset.s3_object_key) for of in samples]
        return ServiceFunction(
            self,
            construct_id,
            service=function._service,
            command=_commands.VERIFY,
            description=f"Sends golden samples to {whom}",
            memory_size=_MEMORY_SIZE,
            timeout=timeout,
            environment={
                _environment.VERIFY_TARGET: target,
                _environment.VERIFY_GOLDENS: json.dumps(goldens, separators=(",", ":")),
            },
            policies={
                "ReadGoldens": [iam.PolicyStatement(actions=[*_permissions.READ_OBJECTS], resources=objects)],
                "InvokeVersion": [iam.PolicyStatement(actions=[*_permissions.INVOKE], resources=[target])],
            },
        )

    def _errors(self, function: InferenceFunction) -> cloudwatch.Alarm:
        name = function.function.function_name
        return cloudwatch.Alarm(
            self,
            "Errors",
            metric=cloudwatch.Metric(
                namespace="AWS/Lambda",
                metric_name="Errors",
                dimensions_map={
                    "FunctionName": name,
                    "Resource": f"{name}:{function.alias.alias_name}",
                    "ExecutedVersion": function.version.version,
                },
                statistic="Sum",
                period=Duration.minutes(1),
            ),
            threshold=1,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description="Invocations of the newest version fail. A shift of traffic to it is taken back.",
        )

    def _deployment_config(self, shift: AnyTrafficShift) -> codedeploy.ILambdaDeploymentConfig:
        if isinstance(shift, AllAtOnce):
            return codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE
        if isinstance(shift, Canary) and (shift.percentage, shift.interval.to_minutes()) == (10, 5):
            return codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES
        routing = (
            codedeploy.TimeBasedCanaryTrafficRouting
            if isinstance(shift, Canary)
            else codedeploy.TimeBasedLinearTrafficRouting
        )
        return codedeploy.LambdaDeploymentConfig(
            self, "Config", traffic_routing=routing(interval=shift.interval, percentage=shift.percentage)
        )


def _has_deployment_group(alias: lambda_.Alias) -> bool:
    resource = alias.node.default_child
    assert isinstance(resource, lambda_.CfnAlias)
    return resource.cfn_options.update_policy is not None


def _shift_problems(path: str, shift: AnyTrafficShift, function: InferenceFunction) -> list[Problem]:
    if isinstance(shift, AllAtOnce):
        return []
    problems = _validation.whole_number(
        "traffic-shift-percentage",
        f"{path}.percentage",
        shift.percentage,
        1,
        99,
        "percent",
        "For 100 use TrafficShift.all_at_once().",
    )
    problems += _validation.whole_units(
        "traffic-shift-interval", f"{path}.interval", shift.interval, "minutes", 1, 2880
    )
    concurrency = function.cold_start.concurrency if isinstance(function.cold_start, Provisioned) else None
    if concurrency is not None and (concurrency.max_capacity is not None or concurrency.schedules):
        problems.append(
            Problem(
                "canary-provisioned-scaling",
                path,
                f"{type(shift).__name__.lower()}, of an alias whose provisioned concurrency is scaled",
                "TrafficShift.all_at_once(), or provisioned concurrency that stays as it is",
                "Use one of these: while traffic is split, Lambda refuses to change an alias's provisioned "
                "concurrency, so scaling would fail during a deployment.",
            )
        )
    return problems
