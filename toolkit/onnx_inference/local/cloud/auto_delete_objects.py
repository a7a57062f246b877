"""What CDK's function behind `Custom::S3AutoDeleteObjects` does: it empties a bucket whose stack is being deleted.

CDK's own is written for the SDK that is part of Lambda's Node runtime, and of no other.
"""

from typing import Any

_TAG = {"Key": "aws-cdk:auto-delete-objects", "Value": "true"}


def empty_bucket(s3: Any, bucket: str) -> None:
    """Delete every version of every object, unless the bucket is gone or has lost the tag that allows it.

    Args:
        s3: A boto3 client.
        bucket: The bucket's name.
    """
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
