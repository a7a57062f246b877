"""What each function of `AsyncInference` may do."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import InferenceFunction, ModelSource
from tests.constructs.jobs.conftest import Make, allowed, reference, template

LOGS_AND_TRACES = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_permissions_of_the_worker(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.worker.role)
    queue, table, bucket = ("<JobsQueue24944186.Arn>", "<JobsTable10C8EDF6.Arn>", "<JobsPayloads9E925333.Arn>")
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "sqs:ReceiveMessage": [queue],
        "sqs:DeleteMessage": [queue],
        "sqs:GetQueueAttributes": [queue],
        "dynamodb:BatchGetItem": [table],
        "dynamodb:PartiQLUpdate": [table],
        "dynamodb:PutItem": [table],
        "dynamodb:UpdateItem": [table],
        "s3:GetObject": [f"{bucket}/jobs/*/request"],
        "s3:PutObject": [f"{bucket}/jobs/*/result-*"],
        "s3:ListBucket": [bucket],
    }


def test_permissions_of_the_job_api(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.job_api.role)
    queue, table, bucket = ("<JobsQueue24944186.Arn>", "<JobsTable10C8EDF6.Arn>", "<JobsPayloads9E925333.Arn>")
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "sqs:SendMessage": [queue],
        "dynamodb:DeleteItem": [table],
        "dynamodb:GetItem": [table],
        "dynamodb:PutItem": [table],
        "dynamodb:UpdateItem": [table],
        "s3:PutObject": [f"{bucket}/jobs/*/request"],
        "s3:GetObject": [f"{bucket}/jobs/*/request", f"{bucket}/jobs/*/result-*"],
        "s3:ListBucket": [bucket],
    }


def test_permissions_of_the_dead_letters(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.dead_letters.role)
    dead, parked, table = (
        "<JobsDeadLetterQueue8CC426EE.Arn>",
        "<JobsParkedQueueE6D1D2B3.Arn>",
        "<JobsTable10C8EDF6.Arn>",
    )
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "sqs:ReceiveMessage": [dead],
        "sqs:DeleteMessage": [dead],
        "sqs:GetQueueAttributes": [dead],
        "sqs:SendMessage": [parked],
        "dynamodb:GetItem": [table],
        "dynamodb:PutItem": [table],
        "dynamodb:UpdateItem": [table],
    }


def test_permissions_of_the_sweeper(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.sweeper.role)
    table = "<JobsTable10C8EDF6.Arn>"
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "dynamodb:Query": [f"{table}/index/open-deadline"],
        "dynamodb:BatchGetItem": [table],
        "dynamodb:PartiQLUpdate": [table],
        "dynamodb:UpdateItem": [table],
    }


def test_the_service_itself_may_do_nothing_with_jobs(make: Make, stack: Stack) -> None:
    jobs = make()
    service = stack.node.find_child("Digits")
    assert isinstance(service, InferenceFunction)
    assert allowed(jobs, service.role).keys() == LOGS_AND_TRACES


def test_the_worker_reads_a_model_in_s3_and_the_others_do_not(make: Make, model_path: Path) -> None:
    jobs = make(function={"model": ModelSource.from_s3(model_path)})
    assert any(".onnx" in resource for resource in allowed(jobs, jobs.worker.role)["s3:GetObject"])
    assert not any(".onnx" in resource for resource in allowed(jobs, jobs.job_api.role)["s3:GetObject"])
    (version,) = reference(jobs, jobs.worker.version.function_arn).values()
    depends = template(jobs)["Resources"][version]["DependsOn"]
    assert any("WorkerReadModel" in name for name in depends)


def test_keys_of_existing_resources(make: Make, stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    jobs = make(bucket=s3.Bucket(stack, "Bucket", encryption_key=key))
    arn = f"<{reference(jobs, key.key_arn)['Fn::GetAtt'][0]}.Arn>"
    for function in (jobs.worker, jobs.job_api):
        found = allowed(jobs, function.role)
        assert (found["kms:Decrypt"], found["kms:GenerateDataKey"]) == ([arn], [arn])
    assert "kms:Decrypt" not in allowed(jobs, jobs.sweeper.role)
