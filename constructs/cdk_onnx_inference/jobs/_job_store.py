"""Where jobs are kept: a table with their records, and a bucket for what is too large for it and for the queue."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.removal import AnyRemoval, Destroy

OPEN_INDEX = "open-deadline"
"""The index by which open jobs past their deadline are found. Only open jobs have its partition key."""

REQUESTS = "jobs/*/request"
RESULTS = "jobs/*/result-*"
"""Where payloads are in the bucket, the job's id in place of the `*`."""

_DAY = 86_400


def make_table(scope: Construct, *, removal: AnyRemoval, with_stream: bool) -> dynamodb.TableV2:
    """The table: on demand, with point-in-time recovery, kept and protected unless `removal` says otherwise."""
    destroy = isinstance(removal, Destroy)
    table = dynamodb.TableV2(
        scope,
        "Table",
        partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
        billing=dynamodb.Billing.on_demand(),
        global_secondary_indexes=[
            dynamodb.GlobalSecondaryIndexPropsV2(
                index_name=OPEN_INDEX,
                partition_key=dynamodb.Attribute(name="open", type=dynamodb.AttributeType.STRING),
                sort_key=dynamodb.Attribute(name="deadline", type=dynamodb.AttributeType.NUMBER),
                projection_type=dynamodb.ProjectionType.KEYS_ONLY,
            )
        ],
        time_to_live_attribute="expires_at",
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        dynamo_stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if with_stream else None,
        deletion_protection=not destroy,
        removal_policy=RemovalPolicy.DESTROY if destroy else RemovalPolicy.RETAIN,
    )
    _keep_reason(table, removal)
    return table


def make_bucket(scope: Construct, *, removal: AnyRemoval, job_timeout: Duration, retention: Duration) -> s3.Bucket:
    """The bucket: private, TLS only, encrypted. Payloads outlive their records by a day or two, and expire."""
    destroy = isinstance(removal, Destroy)
    seconds = int(job_timeout.to_seconds() + retention.to_seconds())
    bucket = s3.Bucket(
        scope,
        "Payloads",
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="ExpirePayloads",
                expiration=Duration.days(-(-seconds // _DAY) + 1),
                abort_incomplete_multipart_upload_after=Duration.days(1),
            )
        ],
        removal_policy=RemovalPolicy.DESTROY if destroy else RemovalPolicy.RETAIN,
        auto_delete_objects=destroy,
    )
    _keep_reason(bucket, removal)
    return bucket


def check_table(path: str, table: dynamodb.ITableV2, *, with_stream: bool) -> tuple[list[Problem], list[str]]:
    """Checks a table that is there already.

    Args:
        path: The problems' path.
        table: The table.
        with_stream: Whether its stream is needed.

    Returns:
        The problems, and what could not be checked.
    """
    resource = table.node.default_child
    stream = []
    if with_stream and table.table_stream_arn is None:
        stream = [
            Problem(
                "table-stream-missing",
                path,
                "a table without a stream, with notices=",
                "a table whose stream has new and old images",
                "Import the table with table_stream_arn=, and give it dynamo_stream=StreamViewType.NEW_AND_OLD_IMAGES.",
            )
        ]
    # What CDK keeps of a stream cannot be read from Python.
    unchecked = ["it has a stream with new and old images"] if with_stream else []
    if not isinstance(resource, dynamodb.CfnGlobalTable):
        return stream, [
            "its partition key is id (a string), and it has no sort key",
            f"its index {OPEN_INDEX} has open (a string) and deadline (a number) as keys, and projects keys only",
            "expires_at is its attribute for time to live",
            *unchecked,
        ]
    stack = Stack.of(table)
    problems = []
    types = {
        definition.get("attributeName"): definition.get("attributeType")
        for definition in _resolved(stack, resource.attribute_definitions)
    }
    keys = _keys(_resolved(stack, resource.key_schema), types)
    if keys != [("id", "HASH", "S")]:
        problems.append(_misfit(path, f"a table with the keys {keys}", "the partition key id, a string, alone"))
    indexes = {index.get("indexName"): index for index in _resolved(stack, resource.global_secondary_indexes)}
    index = _keys(indexes.get(OPEN_INDEX, {}).get("keySchema", []), types)
    if index != [("open", "HASH", "S"), ("deadline", "RANGE", "N")]:
        problems.append(
            _misfit(
                path,
                f"an index {OPEN_INDEX} with the keys {index}" if index else f"no index {OPEN_INDEX}",
                f"an index {OPEN_INDEX} with the partition key open, a string, and the sort key deadline, a number",
            )
        )
    ttl = stack.resolve(resource.time_to_live_specification) or {}
    if ttl.get("attributeName") != "expires_at":
        problems.append(
            _misfit(path, f"time to live by {ttl.get('attributeName')!r}", "time to live by the attribute expires_at")
        )
    return problems + stream, unchecked


def _resolved(stack: Stack, value: Any) -> list[dict[str, Any]]:
    return stack.resolve(value) or []


def _keys(schema: list[dict[str, Any]], types: dict[Any, Any]) -> list[tuple[Any, Any, Any]]:
    return [(key["attributeName"], key["keyType"], types.get(key["attributeName"])) for key in schema]


def _misfit(path: str, got: str, allowed: str) -> Problem:
    return Problem(
        "table-misfit", path, got, allowed, "Leave table= out for a table that fits; docs/job-protocol.md has it."
    )


def _keep_reason(stored: Construct, removal: AnyRemoval) -> None:
    resource = stored.node.default_child
    if isinstance(removal, Destroy) and isinstance(resource, dynamodb.CfnGlobalTable | s3.CfnBucket):
        resource.add_metadata("RemovalReason", removal.reason)
