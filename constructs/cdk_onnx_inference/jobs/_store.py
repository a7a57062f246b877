"""Where jobs are stored: records in a table, and requests and results that are too large for it in a bucket."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk_onnx_inference import _warnings
from cdk_onnx_inference._private_bucket import private_bucket
from cdk_onnx_inference._removal import keep_reason, removal_policy
from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.removal import AnyRemoval, Destroy

OPEN_INDEX = "open-deadline"
"""The index of open jobs by deadline. Only open jobs have its partition key."""

REQUESTS = "jobs/*/request"
RESULTS = "jobs/*/result-*"
"""Keys of requests and results in the bucket. The `*` after `jobs/` stands for the job's id."""

UNCHECKED_BUCKET = (
    _warnings.EXISTING_BUCKET,
    "An existing bucket is not checked. Make sure that it blocks public access, refuses connections without TLS, and "
    "expires objects below jobs/ after job_timeout and retention together.",
)
"""The warning about a bucket that is not made here: its id and text."""

_DAY = 86_400


def make_table(scope: Construct, *, removal: AnyRemoval, with_stream: bool) -> dynamodb.TableV2:
    """The table: billed on demand, with point-in-time recovery, and deletion protection unless `removal` allows it."""
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
        deletion_protection=not isinstance(removal, Destroy),
        removal_policy=removal_policy(removal),
    )
    keep_reason(table, removal)
    return table


def make_bucket(scope: Construct, *, removal: AnyRemoval, job_timeout: Duration, retention: Duration) -> s3.Bucket:
    """The bucket. Objects expire a day or two after the records of their jobs."""
    seconds = int(job_timeout.to_seconds() + retention.to_seconds())
    return private_bucket(
        scope,
        "Payloads",
        lifecycle_rule=s3.LifecycleRule(
            id="ExpirePayloads",
            expiration=Duration.days(-(-seconds // _DAY) + 1),
            abort_incomplete_multipart_upload_after=Duration.days(1),
        ),
        removal=removal,
    )


def check_table(
    path: str, table: dynamodb.ITableV2, *, with_stream: bool
) -> tuple[list[Problem], list[tuple[str, str]]]:
    """Checks a table that is not made here.

    Args:
        path: The problems' path.
        table: The table.
        with_stream: Whether its stream is needed.

    Returns:
        The problems, and warnings: ids and texts.
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
    # Python cannot read from a CDK table what images its stream has.
    unchecked = ["it has a stream with new and old images"] if with_stream else []
    if not isinstance(resource, dynamodb.CfnGlobalTable):
        unchecked = [
            "its partition key is id (a string), and it has no sort key",
            f"its index {OPEN_INDEX} has open (a string) and deadline (a number) as keys, and projects keys only",
            "expires_at is its attribute for time to live",
            *unchecked,
        ]
        return stream, _unchecked(unchecked)
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
    return problems + stream, _unchecked(unchecked)


def _unchecked(texts: list[str]) -> list[tuple[str, str]]:
    if not texts:
        return []
    return [
        (
            _warnings.EXISTING_TABLE,
            f"An existing table cannot be checked in full at synth. Make sure that {'; '.join(texts)}.",
        )
    ]


def _resolved(stack: Stack, value: Any) -> list[dict[str, Any]]:
    return stack.resolve(value) or []


def _keys(schema: list[dict[str, Any]], types: dict[Any, Any]) -> list[tuple[Any, Any, Any]]:
    return [(key["attributeName"], key["keyType"], types.get(key["attributeName"])) for key in schema]


def _misfit(path: str, got: str, allowed: str) -> Problem:
    return Problem(
        "table-misfit",
        path,
        got,
        allowed,
        "Leave table= out for a new table, or make one as docs/job-protocol.md describes.",
    )
