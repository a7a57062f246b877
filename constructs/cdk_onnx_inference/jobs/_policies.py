"""What each function of `AsyncInference` may do, as policies of its role: exact actions on exact resources."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import _permissions

from ._queues import JobQueues
from ._store import OPEN_INDEX, REQUESTS, RESULTS

Policies = dict[str, Sequence[iam.PolicyStatement]]


def job_api(table: dynamodb.ITableV2, bucket: s3.IBucket, queues: JobQueues) -> Policies:
    """Accepts jobs, and answers questions about them."""
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


def worker(table: dynamodb.ITableV2, bucket: s3.IBucket, queues: JobQueues) -> Policies:
    """Takes jobs from the queue, and writes their results."""
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


def dead_letters(table: dynamodb.ITableV2, queues: JobQueues) -> Policies:
    """Moves messages from the dead-letter queue to the parked queue, and records why."""
    return {
        "Jobs": [_allow(_permissions.BURY_JOBS, table.table_arn), *_key(table.encryption_key, _permissions.ENCRYPT)],
        "Queue": [
            _allow(_permissions.CONSUME_MESSAGES, queues.dead_letters.queue_arn),
            _allow(_permissions.SEND_MESSAGES, queues.parked.queue_arn),
            *_key(queues.dead_letters.encryption_master_key, _permissions.DECRYPT),
        ],
    }


def sweeper(table: dynamodb.ITableV2) -> Policies:
    """Records which jobs are past their deadline."""
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
    """For a customer managed key. Its key policy must leave access to IAM, as the key policies of CDK do."""
    return [] if key is None else [_allow(actions, key.key_arn)]
