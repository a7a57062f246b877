"""The S3 objects with the parts of a model: uploaded at deployment, or in a bucket already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from cdk_onnx_inference import _permissions

from .model_part import ModelPart


@dataclass(frozen=True, slots=True)
class ModelObject:
    """A part of a model, and the S3 object with its content.

    Args:
        part: The part.
        bucket: The object's bucket.
        key: The object's key.
    """

    part: ModelPart
    bucket: s3.IBucket
    key: str


def upload(scope: Construct, parts: Iterable[ModelPart], files: Mapping[str, Path]) -> list[ModelObject]:
    """Makes each part a file asset of its own. `cdk deploy` uploads those that are not in the bucket yet.

    The asset's hash is the hash of the content. CDK's own hash would not do: it reads a file without a zero byte in its
    first 8 KiB as text, in which all bytes that are not UTF-8 look the same.

    Args:
        scope: Parent of the assets. Each asset has the name of its part.
        parts: What to upload.
        files: Relative POSIX name -> file on this machine.
    """
    objects = []
    for part in parts:
        asset = s3_assets.Asset(
            scope,
            part.path.replace("/", "--"),
            path=str(files[part.path]),
            asset_hash=part.sha256,
            display_name=f"{part.path} of {scope.node.path}",
        )
        objects.append(ModelObject(part, asset.bucket, asset.s3_object_key))
    return objects


def in_bucket(bucket: s3.IBucket, prefix: str, parts: Iterable[ModelPart]) -> list[ModelObject]:
    """Parts that are in a bucket already, below `prefix`."""
    directory = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    return [ModelObject(part, bucket, f"{directory}{part.path}") for part in parts]


def as_json(objects: Iterable[ModelObject]) -> str:
    """What the runtime reads, as one line of JSON without spaces: `[{"path", "uri", "size", "sha256"}, ...]`."""
    return json.dumps(
        [
            {
                "path": item.part.path,
                "uri": f"s3://{item.bucket.bucket_name}/{item.key}",
                "size": item.part.size,
                "sha256": item.part.sha256,
            }
            for item in objects
        ],
        separators=(",", ":"),
    )


def read_statement(objects: Iterable[ModelObject]) -> iam.PolicyStatement:
    """Lets its holder read these objects, and no others."""
    return iam.PolicyStatement(
        actions=[*_permissions.READ_OBJECTS],
        resources=[item.bucket.arn_for_objects(item.key) for item in objects],
    )
