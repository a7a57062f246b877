"""Application Auto Scaling of an alias's provisioned concurrency."""

from __future__ import annotations

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_

from .provisioned_concurrency import ProvisionedConcurrency, UtilizationStatistic

_DEFAULT_TARGET = 0.7


def add(alias: lambda_.Alias, concurrency: ProvisionedConcurrency) -> autoscaling.ScalableTarget | None:
    """Adds the scalable target with its policies and scheduled actions.

    Args:
        alias: The alias. It must have an initial number of provisioned environments, or scaling is not reliable.
        concurrency: The bounds. They must have been checked.

    Returns:
        The target, or None if the number is fixed.
    """
    if concurrency.max_capacity is None and not concurrency.schedules:
        return None
    first_min, first_max = concurrency.bounds[0]
    scaling = alias.add_auto_scaling(min_capacity=first_min, max_capacity=first_max)
    target = scaling.node.find_child("Target")
    assert isinstance(target, autoscaling.ScalableTarget)
    for schedule in concurrency.schedules:
        scaling.scale_on_schedule(
            schedule.name,
            schedule=schedule.schedule,
            # A scheduled action that sets only one bound fails if it crosses the other.
            min_capacity=schedule.min_capacity,
            max_capacity=concurrency.max_of(schedule),
            time_zone=schedule.time_zone,
        )
    if concurrency.max_capacity is not None:
        _track(alias, concurrency, target)
    return target


def _track(alias: lambda_.Alias, concurrency: ProvisionedConcurrency, target: autoscaling.ScalableTarget) -> None:
    """Adds two policies, because neither is enough alone.

    With the plain metric the target does not scale in while there are no requests, because the metric has no values.
    With `FILL(metric, 0)` a minute counts as idle if its value is late; the alarm for scaling out may then never see
    three busy minutes in a row. With both, the target scales out if one of them says so, and scales in when the second
    one says so, after 15 minutes.
    https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    utilization = _DEFAULT_TARGET if concurrency.target_utilization is None else concurrency.target_utilization
    stat = concurrency.statistic
    metric = alias.metric("ProvisionedConcurrencyUtilization", statistic=stat.value)
    target.scale_to_track_metric(
        "Utilization",
        target_value=utilization,
        disable_scale_in=True if concurrency.scale_in_when_idle else None,
        predefined_metric=autoscaling.PredefinedMetric.LAMBDA_PROVISIONED_CONCURRENCY_UTILIZATION
        if stat is UtilizationStatistic.AVERAGE
        else None,
        custom_metric=None if stat is UtilizationStatistic.AVERAGE else metric,
    )
    if not concurrency.scale_in_when_idle:
        return
    policy = autoscaling.CfnScalingPolicy
    policy(
        target,
        "Idle",
        policy_name="idle",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.scalable_target_id,
        target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=utilization,
            customized_metric_specification=policy.CustomizedMetricSpecificationProperty(
                metrics=[
                    policy.TargetTrackingMetricDataQueryProperty(
                        id="measured",
                        return_data=False,
                        metric_stat=policy.TargetTrackingMetricStatProperty(
                            stat=stat.value,
                            metric=policy.TargetTrackingMetricProperty(
                                namespace="AWS/Lambda",
                                metric_name=metric.metric_name,
                                dimensions=[
                                    policy.TargetTrackingMetricDimensionProperty(name=name, value=value)
                                    for name, value in sorted((metric.dimensions or {}).items())
                                ],
                            ),
                        ),
                    ),
                    policy.TargetTrackingMetricDataQueryProperty(
                        id="filled", expression="FILL(measured, 0)", return_data=True
                    ),
                ]
            ),
        ),
    )
