"""The embedded cloud's buckets: their tags are kept, and CDK's `auto_delete_objects` empties them."""

from collections.abc import Callable, Mapping
from typing import Any

from onnx_inference.local.cloud.patches import Patches, ministack

_BUCKET = "AWS::S3::Bucket"
_AUTO_DELETE_OBJECTS = "Custom::S3AutoDeleteObjects"
_TAG = {"Key": "aws-cdk:auto-delete-objects", "Value": "true"}

#: A boto3 client of S3 for an account and region.
S3Client = Callable[[str, str], Any]


def patch_buckets(patches: Patches, s3: S3Client) -> None:
    """Keep the tags of buckets, and empty a bucket when its stack is deleted.

    MiniStack's CloudFormation drops the tags, and one of them is what lets CDK empty the bucket. CDK's own function for
    that needs the SDK that is part of Lambda's Node runtime, so it cannot run here.
    """
    buckets = ministack("services.s3")

    def keep_tags(name: str, properties: Mapping[str, Any]) -> None:
        buckets._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}

    patches.after_each_change(_BUCKET, keep_tags)
    patches.handle(_AUTO_DELETE_OBJECTS, _auto_delete_objects(s3))


def _auto_delete_objects(s3: S3Client) -> dict[str, Callable[..., Any]]:
    # The bucket's name is the physical id: when it changes, that is another resource, and the old one is deleted.
    def create(_logical_id: str, properties: Mapping[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
        return properties["BucketName"], {}

    def update(_physical_id: str, _old: object, new: Mapping[str, Any], *_: object) -> tuple[str, dict[str, str]]:
        return new["BucketName"], {}

    def delete(_physical_id: str, properties: Mapping[str, Any]) -> None:
        _, _, _, region, account, _ = properties["ServiceToken"].split(":", 5)
        _empty(s3(account, region), properties["BucketName"])

    return {"create": create, "update": update, "delete": delete}


def _empty(s3: Any, bucket: str) -> None:
    """Delete every version of every object, unless the bucket is gone or has lost the tag that allows it."""
    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchTagSet"):
            return
        raise
    if _TAG not in tags:
        return
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            objects = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in found]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
