"""What `AsyncInference` refuses, and what it warns of: each code, its edges, and tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    AsyncInference,
    ColdStart,
    Cors,
    InferenceApi,
    InferenceFunction,
    JobNotices,
    ModelSource,
    ProvisionedConcurrency,
    Removal,
    Throttle,
)
from cdk_onnx_inference.errors import InvalidInferenceConfig
from tests.constructs.conftest import Codes, warnings
from tests.support import models

Make = Callable[..., AsyncInference]
TOKEN = {"Ref": "AWS::StackName"}


def seconds(value: float) -> Duration:
    return Duration.seconds(value)


@pytest.fixture
def service(stack: Stack, model: ModelSource) -> InferenceFunction:
    """A function with a model."""
    return InferenceFunction(stack, "Digits", model=model)


@pytest.fixture
def make(stack: Stack, service: InferenceFunction) -> Make:
    """Makes jobs of that function."""
    numbers = iter(range(100))
    return lambda **options: AsyncInference(stack, f"Jobs{next(numbers)}", **{"function": service, **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"memory_size": 127}, ["memory-size-range"]),
        ({"timeout": seconds(0)}, ["timeout-range"]),
        ({"timeout": seconds(901)}, ["timeout-range"]),
        ({"timeout": Duration.millis(1500)}, ["timeout-range"]),
        ({"timeout": 60}, ["timeout-range"]),
        ({"timeout": seconds(Token.as_number(TOKEN))}, ["worker-timeout-unresolved"]),
        ({"max_concurrency": 1}, ["max-concurrency-range"]),
        ({"max_concurrency": 1001}, ["max-concurrency-range"]),
        ({"max_concurrency": 2.5}, ["max-concurrency-range"]),
        ({"reserved_concurrent_executions": -1}, ["reserved-concurrency-range"]),
        ({"reserved_concurrent_executions": 0}, ["max-concurrency-over-reserved"]),
        ({"reserved_concurrent_executions": 1}, ["max-concurrency-over-reserved"]),
        ({"reserved_concurrent_executions": 5, "max_concurrency": 6}, ["max-concurrency-over-reserved"]),
        ({"batch_size": 0}, ["batch-size-range"]),
        ({"batch_size": 10_001}, ["batch-size-range"]),
        ({"batching_window": seconds(301)}, ["batching-window-range"]),
        ({"batching_window": Duration.millis(500)}, ["batching-window-range"]),
        ({"batching_window": 5}, ["batching-window-range"]),
        ({"batching_window": seconds(Token.as_number(TOKEN))}, ["batching-window-range"]),
        ({"batch_size": 11, "batching_window": seconds(0)}, ["batching-window-missing"]),
        ({"micro_batch_size": 0}, ["micro-batch-size-range"]),
        ({"micro_batch_size": 10_001}, ["micro-batch-size-range"]),
        ({"job_timeout": Duration.days(15)}, ["job-timeout-range"]),
        ({"job_timeout": seconds(0)}, ["job-timeout-range"]),
        ({"job_timeout": Duration.millis(90_500)}, ["job-timeout-range"]),
        ({"job_timeout": seconds(Token.as_number(TOKEN))}, ["job-timeout-range"]),
        ({"job_timeout": 3600}, ["job-timeout-range"]),
        ({"job_timeout": seconds(59)}, ["job-timeout-too-short"]),
        ({"timeout": seconds(900), "job_timeout": seconds(899)}, ["job-timeout-too-short"]),
        ({"retention": seconds(0)}, ["job-retention-range"]),
        ({"retention": Duration.days(3651)}, ["job-retention-range"]),
        ({"removal": Removal.destroy(reason=" ")}, ["reason-missing"]),
        ({"auth": ApiAuth.api_key()}, ["auth-unsupported"]),
        ({"throttle": Throttle(rate_limit=0)}, ["throttle-rate"]),
        ({"api_type": ApiType.rest_api(), "cors": Cors(allow_origins=["*"])}, ["cors-unsupported"]),
        ({"cold_start": "warm"}, ["cold-start-type"]),
        (
            {
                "reserved_concurrent_executions": 3,
                "cold_start": ColdStart.provisioned(ProvisionedConcurrency(min_capacity=4)),
            },
            ["provisioned-over-reserved"],
        ),
    ],
)
def test_fails_on(make: Make, codes: Codes, options: dict[str, Any], expected: list[str]) -> None:
    assert codes(lambda: make(**options)) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": seconds(1), "job_timeout": seconds(8)},
        {"timeout": seconds(900)},
        {"max_concurrency": 2},
        {"max_concurrency": 1000},
        {"max_concurrency": 5, "reserved_concurrent_executions": 5},
        {"max_concurrency": Token.as_number(TOKEN)},
        {"reserved_concurrent_executions": Token.as_number(TOKEN)},
        {"batch_size": 1},
        {"batch_size": 10_000, "batching_window": seconds(1)},
        {"batch_size": Token.as_number(TOKEN)},
        {"batching_window": seconds(300)},
        {"micro_batch_size": 10_000},
        {"micro_batch_size": Token.as_number(TOKEN)},
        {"memory_size": Token.as_number(TOKEN)},
        {"job_timeout": Duration.days(14)},
        {"retention": seconds(1)},
        {"retention": Duration.days(3650)},
    ],
)
def test_takes(make: Make, stack: Stack, options: dict[str, Any]) -> None:
    make(**options)
    assert warnings(stack) == []


@pytest.mark.parametrize(
    ("value", "got"), [(3600, "3600"), (seconds(Token.as_number(TOKEN)), "a value that is known only at deployment")]
)
def test_problems_show_what_was_given(make: Make, value: Any, got: str) -> None:
    for argument in ("job_timeout", "batching_window", "retention"):
        with pytest.raises(InvalidInferenceConfig) as raised:
            make(**{argument: value})
        assert [problem.got for problem in raised.value.problems] == [got]


def test_all_problems_are_told_at_once_and_nothing_is_made(make: Make, stack: Stack) -> None:
    with pytest.raises(InvalidInferenceConfig) as raised:
        make(max_concurrency=1, batch_size=0, job_timeout=seconds(1), retention=seconds(0), auth=ApiAuth.api_key())
    assert [problem.code for problem in raised.value.problems] == [
        "auth-unsupported",
        "max-concurrency-range",
        "batch-size-range",
        "job-timeout-too-short",
        "job-retention-range",
    ]
    assert raised.value.problems[1].path == "Shop/Jobs0.max_concurrency"
    assert not stack.node.find_child("Jobs0").node.children


def test_memory_for_the_models(stack: Stack, make: Make, codes: Codes, tmp_path: Path) -> None:
    package = models.save_package(tmp_path / "large", measurements={"after": {"anonymous_mb": 2000}})
    large = InferenceFunction(stack, "Large", model=ModelSource.in_image(package), memory_size=3008)
    make(function=large)
    assert codes(lambda: make(function=large, memory_size=1769)) == ["memory-too-small"]


def test_variables_of_the_service_and_of_the_worker_fit_together(
    stack: Stack, model: ModelSource, make: Make, codes: Codes
) -> None:
    full = InferenceFunction(stack, "Full", model=model, environment={"LONG": "x" * 3820})
    assert codes(lambda: make(function=full)) == ["environment-too-large"]


@pytest.mark.parametrize(
    "option",
    [
        {"api_type": ApiType.http_api()},
        {"auth": ApiAuth.iam()},
        {"throttle": Throttle()},
        {"cors": Cors(allow_origins=["*"])},
    ],
)
def test_an_api_that_is_there_has_its_own_options(
    stack: Stack, service: InferenceFunction, make: Make, codes: Codes, option: dict[str, Any]
) -> None:
    api = InferenceApi(stack, "Api", function=service)
    assert codes(lambda: make(api=api, **option)) == ["api-options"]


def test_an_api_that_is_there_has_its_own_log(
    stack: Stack, service: InferenceFunction, make: Make, codes: Codes
) -> None:
    api = InferenceApi(stack, "Api", function=service)
    log_group = logs.LogGroup(stack, "Log")
    assert codes(lambda: make(api=api, access_log_group=log_group)) == ["api-options"]


def test_an_api_publishes_the_jobs_of_one(stack: Stack, service: InferenceFunction, make: Make, codes: Codes) -> None:
    api = InferenceApi(stack, "Api", function=service)
    make(api=api)
    assert codes(lambda: make(api=api)) == ["api-has-jobs"]


def queue_of(stack: Stack, **options: Any) -> sqs.Queue:
    """A queue that is fit for jobs, unless told otherwise."""
    fit = {
        "visibility_timeout": seconds(360),
        "retention_period": Duration.days(14),
        "dead_letter_queue": sqs.DeadLetterQueue(queue=sqs.Queue(stack, "Dead"), max_receive_count=5),
    }
    return sqs.Queue(stack, "Mine", **{**fit, **options})


def test_takes_a_queue_that_is_fit(stack: Stack, make: Make) -> None:
    make(queue=queue_of(stack))
    assert warnings(stack) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dead_letter_queue": None}, ["dead-letter-queue-missing", "queue-receive-count"]),
        ({"visibility_timeout": seconds(59)}, ["queue-visibility-timeout"]),
        ({"visibility_timeout": None}, ["queue-visibility-timeout"]),
        ({"retention_period": seconds(3599)}, ["queue-retention"]),
        ({"max_message_size_bytes": 256 * 1024 - 1}, ["queue-message-size"]),
    ],
)
def test_fails_on_a_queue(stack: Stack, make: Make, codes: Codes, options: dict[str, Any], expected: list[str]) -> None:
    queue = queue_of(stack, **options)
    assert codes(lambda: make(queue=queue)) == expected


def test_fails_on_few_receives(stack: Stack, make: Make, codes: Codes) -> None:
    dead = sqs.Queue(stack, "Few")
    queue = queue_of(stack, dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=4))
    assert codes(lambda: make(queue=queue)) == ["queue-receive-count"]


def test_fails_on_fifo_queues(stack: Stack, make: Make, codes: Codes) -> None:
    dead = sqs.Queue(stack, "DeadFifo", fifo=True)
    queue = queue_of(stack, fifo=True, dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=5))
    assert codes(lambda: make(queue=queue)) == ["queue-fifo", "queue-fifo"]


def test_fails_on_an_imported_fifo_queue(stack: Stack, make: Make, codes: Codes) -> None:
    queue = sqs.Queue.from_queue_arn(stack, "Mine", "arn:aws:sqs:eu-west-1:123456789012:jobs.fifo")
    dead = sqs.Queue(stack, "Dead")
    assert codes(lambda: make(queue=queue, dead_letter_queue=dead)) == ["queue-fifo"]


def test_fails_on_a_dead_letter_queue_that_lambda_refuses(stack: Stack, make: Make, codes: Codes) -> None:
    dead = sqs.Queue(stack, "Quick", visibility_timeout=seconds(29))
    queue = queue_of(stack, dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=5))
    assert codes(lambda: make(queue=queue)) == ["queue-visibility-timeout"]


def test_fails_on_a_dead_letter_queue_alone(stack: Stack, make: Make, codes: Codes) -> None:
    dead = sqs.Queue(stack, "Dead")
    assert codes(lambda: make(dead_letter_queue=dead)) == ["dead-letter-queue-alone"]


def test_advises_against_a_short_visibility_timeout(stack: Stack, make: Make) -> None:
    make(queue=queue_of(stack, visibility_timeout=seconds(366)), batching_window=seconds(7))
    (warning,) = warnings(stack)
    assert "cdk-onnx-inference:visibility-timeout" in warning
    assert "367 s" in warning


def test_a_long_enough_visibility_timeout_with_a_window(stack: Stack, make: Make) -> None:
    make(queue=queue_of(stack, visibility_timeout=seconds(367)), batching_window=seconds(7))
    assert warnings(stack) == []


def test_a_queues_tokens_pass(stack: Stack, make: Make) -> None:
    queue = queue_of(stack)
    resource = queue.node.default_child
    assert isinstance(resource, sqs.CfnQueue)
    resource.visibility_timeout = Token.as_number(TOKEN)
    resource.message_retention_period = Token.as_number(TOKEN)
    resource.maximum_message_size = Token.as_number(TOKEN)
    make(queue=queue)
    assert warnings(stack) == []


def imported_queue(stack: Stack) -> sqs.IQueue:
    return sqs.Queue.from_queue_arn(stack, "Mine", "arn:aws:sqs:eu-west-1:123456789012:jobs")


def test_fails_on_an_imported_queue_whose_dead_letter_queue_is_not_known(
    stack: Stack, make: Make, codes: Codes
) -> None:
    assert codes(lambda: make(queue=imported_queue(stack))) == ["dead-letter-queue-missing"]


def test_says_what_is_not_known_of_an_imported_queue(stack: Stack, make: Make) -> None:
    make(queue=imported_queue(stack), dead_letter_queue=sqs.Queue(stack, "Dead"))
    (warning,) = warnings(stack)
    assert "cdk-onnx-inference:existing-queue" in warning
    assert "visibility timeout is at least 6 times" in warning


def table_of(stack: Stack, **options: Any) -> dynamodb.TableV2:
    """A table that is fit for jobs, unless told otherwise."""
    fit = {
        "partition_key": dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
        "global_secondary_indexes": [index()],
        "time_to_live_attribute": "expires_at",
        "dynamo_stream": dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
    }
    return dynamodb.TableV2(stack, "Mine", **{**fit, **options})


def index(
    name: str = "open-deadline",
    deadline: dynamodb.AttributeType = dynamodb.AttributeType.NUMBER,
) -> dynamodb.GlobalSecondaryIndexPropsV2:
    return dynamodb.GlobalSecondaryIndexPropsV2(
        index_name=name,
        partition_key=dynamodb.Attribute(name="open", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="deadline", type=deadline),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )


def test_takes_a_table_that_is_fit(stack: Stack, make: Make) -> None:
    table = table_of(stack)
    assert make(table=table).table is table
    assert warnings(stack) == []


def test_says_that_a_tables_stream_is_not_checked(stack: Stack, make: Make) -> None:
    make(table=table_of(stack), notices=JobNotices.topic(sns.Topic(stack, "Topic")))
    (warning,) = warnings(stack)
    assert "cdk-onnx-inference:existing-table" in warning
    assert "Make sure that it has a stream with new and old images." in warning


@pytest.mark.parametrize(
    "options",
    [
        {"partition_key": dynamodb.Attribute(name="job", type=dynamodb.AttributeType.STRING)},
        {"partition_key": dynamodb.Attribute(name="id", type=dynamodb.AttributeType.BINARY)},
        {"sort_key": dynamodb.Attribute(name="at", type=dynamodb.AttributeType.STRING)},
        {"global_secondary_indexes": []},
        {"global_secondary_indexes": [index("open")]},
        {"global_secondary_indexes": [index(deadline=dynamodb.AttributeType.STRING)]},
        {"time_to_live_attribute": None},
        {"time_to_live_attribute": "ttl"},
    ],
)
def test_fails_on_a_table(stack: Stack, make: Make, codes: Codes, options: dict[str, Any]) -> None:
    table = table_of(stack, **options)
    assert codes(lambda: make(table=table)) == ["table-misfit"]


def test_says_what_is_not_known_of_an_imported_table(stack: Stack, make: Make, codes: Codes) -> None:
    table = dynamodb.TableV2.from_table_name(stack, "Mine", "jobs")
    make(table=table)
    (warning,) = warnings(stack)
    assert "cdk-onnx-inference:existing-table" in warning
    assert "open-deadline" in warning
    notices = JobNotices.topic(sns.Topic(stack, "Topic"))
    assert codes(lambda: make(table=table, notices=notices)) == ["table-stream-missing"]


def test_says_that_a_bucket_is_not_checked(stack: Stack, make: Make) -> None:
    make(bucket=s3.Bucket(stack, "Mine"))
    (warning,) = warnings(stack)
    assert "cdk-onnx-inference:existing-bucket" in warning


@pytest.mark.parametrize(("deadline", "warned"), [(360, True), (361, False)])
def test_warns_of_jobs_that_expire_before_a_second_attempt(
    stack: Stack, make: Make, deadline: int, warned: bool
) -> None:
    make(job_timeout=seconds(deadline))
    assert ["cdk-onnx-inference:no-second-attempt" in warning for warning in warnings(stack)] == [True] * warned


def test_warns_of_a_vpc_of_ones_own(stack: Stack, model: ModelSource, make: Make) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0)
    subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    inside = InferenceFunction(stack, "Inside", model=model, vpc=vpc, vpc_subnets=subnets)
    make(function=inside)
    (warning,) = warnings(stack)
    assert "cdk-onnx-inference:vpc-of-jobs" in warning
