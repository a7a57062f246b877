"""`AsyncInference`: its functions, queues and event sources, and what it does when arguments are left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import ColdStart, ProvisionedConcurrency
from tests.constructs.jobs.conftest import COMMANDS, SERVICE, Make, functions, reference, template, variables
from tests.support import synth


def test_all_functions_have_one_image(make: Make) -> None:
    made = template(make())
    assert functions(made).keys() == {SERVICE, *COMMANDS.values()}
    assert len({json.dumps(function["Code"]) for function in functions(made).values()}) == 1


def test_every_function_has_a_role_a_log_group_and_an_alias_of_its_own(make: Make) -> None:
    made = template(make())
    assert len({json.dumps(function["Role"]) for function in functions(made).values()}) == 5
    assert len({json.dumps(function["LoggingConfig"]["LogGroup"]) for function in functions(made).values()}) == 5
    aliases = synth.resources_of(made, "AWS::Lambda::Alias")
    assert [alias["Properties"]["Name"] for alias in aliases] == ["live"] * 5
    assert len(synth.resources_of(made, "AWS::Lambda::Version")) == 5


def test_variables_of_the_worker(make: Make) -> None:
    jobs = make(function={"environment": {"VOCABULARY": "words"}}, micro_batch_size=32, job_timeout=Duration.hours(2))
    made = template(jobs)
    of_the_service = variables(made, SERVICE)
    assert variables(made, "Worker") == {
        **of_the_service,
        "JOBS_TABLE_NAME": reference(jobs, jobs.table.table_name),
        "PAYLOAD_BUCKET_NAME": reference(jobs, jobs.bucket.bucket_name),
        "JOB_TIMEOUT": "7200",
        "JOB_RETENTION": "1209600",
        "MICRO_BATCH_SIZE": "32",
    }
    assert of_the_service["VOCABULARY"] == "words"


def test_variables_of_the_functions_without_models(make: Make) -> None:
    jobs = make(function={"metrics_namespace": "Shop"}, retention=Duration.days(1))
    made = template(jobs)
    for_all = {
        "METRICS_NAMESPACE": "Shop",
        "JOBS_TABLE_NAME": reference(jobs, jobs.table.table_name),
        "JOB_TIMEOUT": "3600",
        "JOB_RETENTION": "86400",
    }
    assert variables(made, "JobApi") == {
        **for_all,
        "PAYLOAD_BUCKET_NAME": reference(jobs, jobs.bucket.bucket_name),
        "JOBS_QUEUE_URL": reference(jobs, jobs.queue.queue_url),
        "MODEL_SIGNATURES": "signatures.json",
    }
    assert variables(made, "DeadLetters") == {
        **for_all,
        "PARKED_QUEUE_URL": reference(jobs, jobs.parked_queue.queue_url),
    }
    assert variables(made, "Sweeper") == for_all


def test_the_queue_hides_messages_for_six_attempts_and_the_window(make: Make) -> None:
    jobs = make(timeout=Duration.seconds(100), batching_window=Duration.seconds(7))
    made = template(jobs)
    (logical_id,) = reference(jobs, jobs.queue.queue_url).values()
    queue = made["Resources"][logical_id]["Properties"]
    assert queue["VisibilityTimeout"] == 607
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == reference(jobs, jobs.dead_letter_queue.queue_arn)


def test_queues_are_encrypted_kept_long_and_tls_only(make: Make) -> None:
    made = template(make())
    queues = synth.resources_of(made, "AWS::SQS::Queue")
    assert len(queues) == 3
    for queue in queues:
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
    policies = synth.resources_of(made, "AWS::SQS::QueuePolicy")
    assert len(policies) == 3
    for policy in policies:
        (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_event_sources_invoke_aliases_and_report_single_failures(make: Make) -> None:
    jobs = make(max_concurrency=7, batch_size=100, batching_window=Duration.seconds(2))
    sources = {
        json.dumps(source["Properties"]["EventSourceArn"]): source["Properties"]
        for source in synth.resources_of(template(jobs), "AWS::Lambda::EventSourceMapping")
    }
    worker = sources[json.dumps(reference(jobs, jobs.queue.queue_arn))]
    assert (worker["BatchSize"], worker["MaximumBatchingWindowInSeconds"]) == (100, 2)
    assert worker["ScalingConfig"] == {"MaximumConcurrency": 7}
    dead_letters = sources[json.dumps(reference(jobs, jobs.dead_letter_queue.queue_arn))]
    for source, function in ((worker, jobs.worker), (dead_letters, jobs.dead_letters)):
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        (alias,) = reference(jobs, function.alias.function_arn).values()
        assert f'"Ref": "{alias}"' in json.dumps(source["FunctionName"])
        assert json.dumps(source["FunctionName"]).endswith('":live"]]}')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 10),
        ({"reserved_concurrent_executions": 5}, 5),
        ({"reserved_concurrent_executions": 500}, 10),
        ({"reserved_concurrent_executions": 5, "max_concurrency": 3}, 3),
        ({"max_concurrency": 1000}, 1000),
    ],
)
def test_max_concurrency(make: Make, options: dict[str, Any], expected: int) -> None:
    jobs = make(**options)
    sources = synth.resources_of(template(jobs), "AWS::Lambda::EventSourceMapping")
    assert {"MaximumConcurrency": expected} in [source["Properties"]["ScalingConfig"] for source in sources]


def test_large_batches_have_a_window_by_themselves(make: Make) -> None:
    sources = synth.resources_of(template(make(batch_size=11)), "AWS::Lambda::EventSourceMapping")
    assert [source["Properties"].get("MaximumBatchingWindowInSeconds") for source in sources].count(1) == 1


@pytest.mark.parametrize(("of_the_service", "expected"), [(29, 60), (61, 61), (900, 900)])
def test_the_workers_timeout(make: Make, of_the_service: int, expected: int) -> None:
    jobs = make(function={"timeout": Duration.seconds(of_the_service)})
    assert functions(template(jobs))[COMMANDS["Worker"]]["Timeout"] == expected


@pytest.mark.parametrize(("timeout", "expected"), [(60, 3600), (300, 3600), (301, 3612), (900, 10_800)])
def test_jobs_have_time_for_a_second_attempt(make: Make, timeout: int, expected: int) -> None:
    jobs = make(timeout=Duration.seconds(timeout))
    assert variables(template(jobs), "Worker")["JOB_TIMEOUT"] == str(expected)


def test_the_worker_has_the_services_memory_unless_told(make: Make) -> None:
    assert functions(template(make(function={"memory_size": 3008})))[COMMANDS["Worker"]]["MemorySize"] == 3008


def test_the_workers_own_memory_and_reservation(make: Make) -> None:
    worker = functions(template(make(memory_size=2048, reserved_concurrent_executions=20)))[COMMANDS["Worker"]]
    assert (worker["MemorySize"], worker["ReservedConcurrentExecutions"]) == (2048, 20)


def test_the_worker_has_a_cold_start_of_its_own(make: Make) -> None:
    jobs = make(cold_start=ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2)))
    made = template(jobs)
    (alias,) = reference(jobs, jobs.worker.alias.function_arn).values()
    assert {
        name: resource["Properties"]["ProvisionedConcurrencyConfig"]
        for name, resource in made["Resources"].items()
        if "ProvisionedConcurrencyConfig" in resource.get("Properties", {})
    } == {alias: {"ProvisionedConcurrentExecutions": 2}}


def test_a_warmer_pings_the_workers_alias(make: Make) -> None:
    jobs = make(cold_start=ColdStart.warmer())
    targets = [
        schedule["Properties"]["Target"]["Arn"]
        for schedule in synth.resources_of(template(jobs), "AWS::Scheduler::Schedule")
    ]
    assert reference(jobs, jobs.worker.alias.function_arn) in targets
    assert len(targets) == 2


def test_the_sweeper_runs_every_five_minutes(make: Make) -> None:
    jobs = make()
    schedule = synth.only(template(jobs), "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    assert schedule["Target"]["Arn"] == reference(jobs, jobs.sweeper.alias.function_arn)


def test_existing_resources_are_used_and_none_made(make: Make, stack: Stack) -> None:
    dead = sqs.Queue(stack, "Dead")
    queue = sqs.Queue(
        stack,
        "Mine",
        visibility_timeout=Duration.minutes(30),
        retention_period=Duration.days(14),
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=5),
    )
    bucket = s3.Bucket(stack, "Bucket")
    jobs = make(queue=queue, bucket=bucket)
    made = template(jobs)
    assert (jobs.queue, jobs.dead_letter_queue, jobs.bucket) == (queue, dead, bucket)
    assert len(synth.resources_of(made, "AWS::SQS::Queue")) == 3
    assert len(synth.resources_of(made, "AWS::S3::Bucket")) == 1
    sources = synth.resources_of(made, "AWS::Lambda::EventSourceMapping")
    assert [source["Properties"]["EventSourceArn"] for source in sources] == [
        reference(jobs, of.queue_arn) for of in (queue, dead)
    ]
