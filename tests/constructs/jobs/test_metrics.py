"""The metrics of jobs."""

from __future__ import annotations

import json

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch

from tests.constructs.jobs.conftest import Make, reference
from tests.support import synth


def test_metrics_of_queues(make: Make) -> None:
    jobs = make()
    names = {
        (metric.metric_name, metric.statistic, json.dumps(reference(jobs, metric.dimensions)))
        for metric in (
            jobs.metric_queue_depth(),
            jobs.metric_queue_age(),
            jobs.metric_dead_letter_queue_depth(),
            jobs.metric_parked_queue_depth(),
        )
    }
    assert len(names) == 4
    assert {name for name, _, _ in names} == {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}
    assert {statistic for _, statistic, _ in names} == {"Maximum"}


def test_metrics_of_jobs(make: Make) -> None:
    jobs = make(function={"metrics_namespace": "Shop"})
    succeeded, latency = jobs.metric_jobs_succeeded(), jobs.metric_job_latency()
    assert isinstance(succeeded, cloudwatch.Metric)
    for metric, name, statistic in ((succeeded, "JobsSucceeded", "Sum"), (latency, "JobLatency", "p99")):
        assert (metric.namespace, metric.metric_name, metric.statistic) == ("Shop", name, statistic)
        assert reference(jobs, metric.dimensions) == {
            "FunctionName": reference(jobs, jobs.worker.function.function_name)
        }


def test_metrics_of_several_functions_are_sums_that_an_alarm_can_watch(make: Make, stack: Stack) -> None:
    jobs = make()
    for name, metric, number in (
        ("jobsFailed", jobs.metric_jobs_failed(), 2),
        ("jobsExpired", jobs.metric_jobs_expired(), 3),
    ):
        cloudwatch.Alarm(stack, name, metric=metric, threshold=1, evaluation_periods=1)
        alarm = synth.resources_of(synth.template_of(stack), "AWS::CloudWatch::Alarm")[-1]["Properties"]
        (expression,) = [query["Expression"] for query in alarm["Metrics"] if "Expression" in query]
        assert expression == " + ".join(f"FILL({name}{index}, 0)" for index in range(number))
