"""A model that is too large for an image, or changes more often than one, behind an API."""

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
    """Where the model is while it is served."""

    EFS = "efs"
    S3 = "s3"
    S3_FILES = "s3-files"


def stored(
    stack: Stack,
    path: str | os.PathLike[str],
    *,
    name: str | None,
    version: str,
    source: Source,
    keep_versions: int,
    removal: AnyRemoval | None,
) -> tuple[ModelSource, ModelFileSystem | ModelS3Files | None]:
    """The model's source, and the file system that it needs, made in the stack; arguments as for `LargeModel`."""
    if source is Source.S3:
        return ModelSource.from_s3(path, name=name, version=version), None
    if source is Source.EFS:
        file_system = ModelFileSystem(stack, "Models", removal=removal)
        return (
            ModelSource.on_efs(path, file_system=file_system, keep_versions=keep_versions, name=name, version=version),
            file_system,
        )
    bucket = ModelS3Files(stack, "ModelBucket", removal=removal)
    return (
        ModelSource.on_s3_files(path, file_system=bucket, keep_versions=keep_versions, name=name, version=version),
        bucket,
    )


class LargeModel(Stack):
    """Answers requests of the Open Inference Protocol with a model that is not in the function's image.

    The deployment puts the model where it belongs, and publishes the function's new version when it is there. Nothing
    of it runs, or costs, by the hour: no NAT gateway, no interface endpoint.

    Args:
        scope: The app.
        construct_id: Id, and name, of the stack.
        path: The model to serve: an .onnx file or a package directory.
        name: The model's name in URLs. Default: the file's or directory's own.
        version: The model's version in URLs. Default: `"1"`.
        source: Where the model is. A change makes a new file system or none, and publishes a new version. Default: on
            an EFS file system of the stack's own, in a VPC of its own.
        keep_versions: How many models stay on the file system. Default: 3.
        removal: What becomes of the storage with the stack. Default: it is retained.
        processing: The user's own pre- and post-processing. Default: none.
        cold_start: What is done about cold starts; not SnapStart, unless `source` is S3 and the model small. Default:
            nothing.
        memory_size: Of the function, in MB. Default: 1769.
        timeout: Of the function. Default: the 29 seconds that both kinds of API wait for.
        api_type: HTTP or REST API. Default: HTTP.
        auth: Who may call. Default: IAM.
        stack_props: Whatever else a `Stack` takes, e.g. `env`.

    Outputs:
        Endpoint: Base URL of the API, without a slash at its end.
        FunctionName: The function's name.
        AliasArn: What to invoke without the API.
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
        model, self.file_system = stored(
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
