"""What each function of `AsyncInference` may do: exact actions on exact resources, as policies of its role."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import _permissions

from ._job_queues import JobQueues
from ._job_store import OPEN_INDEX, REQUESTS, RESULTS

Policies = dict[str, Sequence[iam.PolicyStatement]]


def of_the_job_api(table: dynamodb.ITableV2, bucket: s3.IBucket, queues: JobQueues) -> Policies:
    """Takes jobs in, and answers for them."""
    return {
        "Jobs": [_allow(_permissions.SUBMIT_JOBS, table.table_arn), *_key(table.encryption_key, _permissions.ENCRYPT)],
        "Queue": [
            _allow(_permissions.SEND_MESSAGES, queues.queue.queue_arn),
            *_key(queues.queue.encryption_master_key, _permissions.ENCRYPT),
        ],
        "Payloads": [
            _allow(_permissions.WRITE_OBJECTS, bucket.arn_for_objects(REQUESTS)),
            _allow(_permissions.READ_OBJECTS, bucket.arn_for_objects(REQUESTS), bucket.arn_for_objects(RESULTS)),
            _allow(_permissions.MISS_OBJECTS, bucket.bucket_arn),
            *_key(bucket.encryption_key, _permissions.ENCRYPT),
        ],
    }


def of_the_worker(table: dynamodb.ITableV2, bucket: s3.IBucket, queues: JobQueues) -> Policies:
    """Takes jobs out of the queue, and writes their results."""
    return {
        "Jobs": [_allow(_permissions.WORK_ON_JOBS, table.table_arn), *_key(table.encryption_key, _permissions.ENCRYPT)],
        "Queue": [
            _allow(_permissions.CONSUME_MESSAGES, queues.queue.queue_arn),
            *_key(queues.queue.encryption_master_key, _permissions.DECRYPT),
        ],
        "Payloads": [
            _allow(_permissions.READ_OBJECTS, bucket.arn_for_objects(REQUESTS)),
            _allow(_permissions.WRITE_OBJECTS, bucket.arn_for_objects(RESULTS)),
            _allow(_permissions.MISS_OBJECTS, bucket.bucket_arn),
            *_key(bucket.encryption_key, _permissions.ENCRYPT),
        ],
    }


def of_the_dead_letters(table: dynamodb.ITableV2, queues: JobQueues) -> Policies:
    """Empties the dead-letter queue into the parked one, and writes why."""
    return {
        "Jobs": [_allow(_permissions.BURY_JOBS, table.table_arn), *_key(table.encryption_key, _permissions.ENCRYPT)],
        "Queue": [
            _allow(_permissions.CONSUME_MESSAGES, queues.dead_letters.queue_arn),
            _allow(_permissions.SEND_MESSAGES, queues.parked.queue_arn),
            *_key(queues.dead_letters.encryption_master_key, _permissions.DECRYPT),
        ],
    }


def of_the_sweeper(table: dynamodb.ITableV2) -> Policies:
    """Writes which jobs are past their deadline."""
    return {
        "Jobs": [
            _allow(_permissions.FIND_OPEN_JOBS, f"{table.table_arn}/index/{OPEN_INDEX}"),
            _allow(_permissions.EXPIRE_JOBS, table.table_arn),
            *_key(table.encryption_key, _permissions.ENCRYPT),
        ]
    }


def _allow(actions: tuple[str, ...], *resources: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=[*actions], resources=[*resources])


def _key(key: kms.IKey | None, actions: tuple[str, ...]) -> list[iam.PolicyStatement]:
    """For a customer's key. The key's own policy must let the account's IAM decide, as CDK's do."""
    return [] if key is None else [_allow(actions, key.key_arn)]
