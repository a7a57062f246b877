"""A model behind an API that is too large for an image, or changes more often than the image."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from constructs import Construct

from cdk_onnx_inference import (
    ColdStart,
    InferenceApi,
    InferenceFunction,
    ModelFileSystem,
    ModelS3Files,
    ModelSource,
    Processing,
)
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType
from cdk_onnx_inference.removal import AnyRemoval

from .acknowledgements import acknowledge, acknowledge_file_system


class Source(StrEnum):
    """Where a model is that is not in the image."""

    EFS = "efs"
    S3 = "s3"
    S3_FILES = "s3-files"


def model_source(
    stack: Stack,
    path: str | os.PathLike[str],
    *,
    name: str | None,
    version: str,
    source: Source | None,
    keep_versions: int,
    removal: AnyRemoval | None,
) -> tuple[ModelSource, ModelFileSystem | ModelS3Files | None]:
    """The model's source, and the file system that is made for it. Without `source`, the model is in the image."""
    if source is Source.EFS:
        file_system = ModelFileSystem(stack, "Models", removal=removal)
        on_efs = ModelSource.on_efs(
            path, file_system=file_system, keep_versions=keep_versions, name=name, version=version
        )
        return on_efs, file_system
    if source is Source.S3_FILES:
        bucket = ModelS3Files(stack, "ModelBucket", removal=removal)
        on_s3_files = ModelSource.on_s3_files(
            path, file_system=bucket, keep_versions=keep_versions, name=name, version=version
        )
        return on_s3_files, bucket
    if source is Source.S3:
        return ModelSource.from_s3(path, name=name, version=version), None
    return ModelSource.in_image(path, name=name, version=version), None


class LargeModel(Stack):
    """Answers requests of the Open Inference Protocol with a model that is not in the function's image.

    The deployment first uploads the model, and then publishes the function's new version. Nothing is billed by the
    hour: there is no NAT gateway and no interface endpoint.

    Args:
        scope: The app.
        construct_id: Id, and name, of the stack.
        path: The model to serve: an .onnx file or a package directory.
        name: The model's name in URLs. Default: the file's or directory's own.
        version: The model's version in URLs. Default: `"1"`.
        source: Where the model is. A change deletes or makes a file system, and publishes a new version. Default: on an
            EFS file system of the stack, in a VPC of the stack.
        keep_versions: How many models stay on the file system. Default: 3.
        removal: What happens to the storage when the stack is deleted. Default: it is retained.
        processing: The user's own pre- and post-processing. Default: none.
        cold_start: What is done about cold starts. SnapStart is possible only if `source` is S3 and the model is small.
            Default: nothing.
        memory_size: The function's memory in MB. Default: 1769.
        timeout: Longest run of one request. Default: 29 seconds, for which both kinds of API wait.
        api_type: HTTP or REST API. Default: HTTP.
        auth: Who may call. Default: IAM.
        stack_props: Further arguments of `Stack`, e.g. `env`.

    Outputs:
        Endpoint: Base URL of the API, without a slash at its end.
        FunctionName: The function's name.
        AliasArn: ARN of the alias, to invoke the function without the API.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        path: str | os.PathLike[str],
        name: str | None = None,
        version: str = "1",
        source: Source = Source.EFS,
        keep_versions: int = 3,
        removal: AnyRemoval | None = None,
        processing: Processing | None = None,
        cold_start: ColdStart | None = None,
        memory_size: int = 1769,
        timeout: Duration | None = None,
        api_type: AnyApiType | None = None,
        auth: AnyApiAuth | None = None,
        **stack_props: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack_props)
        model, self.file_system = model_source(
            self,
            path,
            name=name,
            version=version,
            source=source,
            keep_versions=keep_versions,
            removal=removal,
        )
        self.inference = InferenceFunction(
            self,
            "Inference",
            model=model,
            processing=processing,
            cold_start=cold_start,
            memory_size=memory_size,
            timeout=Duration.seconds(29) if timeout is None else timeout,
        )
        self.api = InferenceApi(self, "Api", function=self.inference, api_type=api_type, auth=auth)
        acknowledge(self.inference, self.api, api_type=api_type, auth=auth)
        if self.file_system is not None:
            acknowledge_file_system(self.file_system, self.inference)

        CfnOutput(self, "Endpoint", value=self.api.url)
        CfnOutput(self, "FunctionName", value=self.inference.function.function_name)
        CfnOutput(self, "AliasArn", value=self.inference.alias.function_arn)
