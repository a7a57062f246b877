"""The settings that all buckets of this library have in common."""

from __future__ import annotations

from aws_cdk import aws_s3 as s3
from constructs import Construct

from ._removal import keep_reason, removal_policy
from .removal import AnyRemoval, Destroy


def private_bucket(
    scope: Construct,
    construct_id: str,
    *,
    lifecycle_rule: s3.LifecycleRule,
    removal: AnyRemoval,
    versioned: bool = False,
) -> s3.Bucket:
    """A bucket that is encrypted, blocks public access and accepts TLS connections only."""
    bucket = s3.Bucket(
        scope,
        construct_id,
        versioned=versioned,
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[lifecycle_rule],
        removal_policy=removal_policy(removal),
        auto_delete_objects=isinstance(removal, Destroy),
    )
    keep_reason(bucket, removal)
    return bucket
