"""The S3 objects that a model's parts are: uploaded at deployment, or there already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from cdk_onnx_inference import _permissions

from .model_part import ModelPart


@dataclass(frozen=True, slots=True)
class ModelObject:
    """A part of a model, and the S3 object that has its content.

    Args:
        part: The part.
        bucket: The object's bucket.
        key: The object's key.
    """

    part: ModelPart
    bucket: s3.IBucket
    key: str


def upload(scope: Construct, parts: Iterable[ModelPart], files: Mapping[str, Path]) -> list[ModelObject]:
    """Makes each part a file asset of its own, which `cdk deploy` uploads as it is, unless it is there already.

    The content's own hash is the asset's: CDK would hash a file that has no zero byte in its first 8 KiB as text, in
    which all bytes that are no UTF-8 are the same.

    Args:
        scope: Parent of the assets. Each is called as its part is.
        parts: What to upload.
        files: Relative posix name -> file on this machine.
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
    """The form that the runtime reads, in one line and without spaces: `[{"path", "uri", "size", "sha256"}, ...]`."""
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


def environment_length(scope: Construct, variables: Mapping[str, str]) -> int:
    """Bytes of variables as one JSON object, at least: what is known only at deployment counts as nothing.

    (Except the account, the region and the partition, which are in the name of the bucket with the assets.)
    """
    stack = Stack.of(scope)
    return 1 + sum(len(name) + _length(stack.resolve(value)) + len('"":"",') for name, value in variables.items())


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(json.dumps(value, ensure_ascii=False).encode()) - 2
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return sum(_length(item) for item in argument[1])
        if function == "Fn::Sub" and isinstance(argument, str):
            for name, stands_for in _PSEUDO_PARAMETERS.items():
                argument = argument.replace(f"${{{name}}}", stands_for)
            return _length(argument)
        if function == "Ref":
            return len(_PSEUDO_PARAMETERS.get(argument, ""))
    return 0


_PSEUDO_PARAMETERS = {"AWS::AccountId": "0" * 12, "AWS::Region": "us-east-1", "AWS::Partition": "aws"}
"""With values as short as any. The environment must not be refused for what a short region name would let pass."""
