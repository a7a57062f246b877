"""Where the model of an inference function comes from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import aws_s3 as s3

from .model_part import ModelPart

if TYPE_CHECKING:
    from .model_file_system import ModelFileSystem
    from .model_s3_files import ModelS3Files


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Names a model and says where the function finds it: one of the forms below.

    `in_image` needs nothing else and suits most models. `from_s3`, `on_efs` and `on_s3_files` are for models that are
    too large for an image, or that change more often than it; `docs/model-sources.md` compares cost, cold start and
    limits.

    Nothing is read here: the construct that is given the source reads it, and reports what is wrong with it together
    with everything else.

    Attributes:
        name: The model's name in the Open Inference Protocol, or None for the path's own name.
        version: The model's version in the Open Inference Protocol.
    """

    name: str | None
    version: str

    @staticmethod
    def in_image(path: str | os.PathLike[str], *, name: str | None = None, version: str = "1") -> InImage:
        """The model is copied into the container image, and is on the function's disk from the first moment.

        Right for models up to a few gigabytes (a Lambda image holds 10 GB): no network, no permissions and no other
        service between a cold start and its model.

        Args:
            path: A bare .onnx file, or a package directory: one that has `model.onnx` and, beside it, the files with
                its weights, `manifest.json` and `goldens/`. Weights that the graph keeps in other files are found
                through the graph; they must be in the same directory or below. Nothing else of the directory is
                copied. A relative path is relative to the current directory: prefer `Path(__file__).parent / ...` in
                an app. A change of the model's content makes a new image and publishes a new version of the function.
            name: Name in the protocol's paths, `/v2/models/{name}/infer`: letters, digits, `_`, `.` and `-`, at most
                64, a letter or digit first. A change publishes a new version. Default: the name of the file without
                `.onnx`, or that of the directory when `path` is one or the file is called `model.onnx`.
            version: A decimal number, as a string, in the protocol's `/v2/models/{name}/versions/{version}`. A change
                publishes a new version. Default: `"1"`.

        Returns:
            The source, for `InferenceFunction(model=...)`, which raises `InvalidInferenceConfig` with the codes
            `model-missing`, `model-not-onnx`, `model-git-lfs-pointer`, `model-weights-missing`,
            `model-weights-outside`, `model-weights-cut-off`, `model-file-collision`, `model-ir-version`,
            `model-opset`, `model-too-large`, `model-name` or `model-version`, and for a package whose `manifest.json`
            cannot be read or is of other files, `model-manifest` or `model-digest-mismatch`.
        """
        return InImage(path=os.fspath(path), name=name, version=version)

    @staticmethod
    def from_s3(path: str | os.PathLike[str], *, name: str | None = None, version: str = "1") -> FromS3:
        """The model is uploaded to S3 at deployment, and each environment downloads it to `/tmp` at its cold start.

        Right for models that change often (the image stays the same) and for models between what an image should
        carry and 10 GB. A cold start takes as long as the download: Lambda gives an environment 78 MB/s. No VPC.

        Each file of the model is a file asset of its own, uploaded as it is; what was deployed before is not uploaded
        again. The function may read exactly these objects. Hence a Lambda version whose model has been replaced may
        not read its own any more: to go back, deploy the former model again. During a deployment the version that is
        still serving keeps its permission.

        Args:
            path: As for `in_image`; `goldens/` are not uploaded. A change of the content publishes a new version.
            name: As for `in_image`.
            version: As for `in_image`.

        Returns:
            The source, for `InferenceFunction(model=...)`, which raises `InvalidInferenceConfig` with the codes of
            `in_image` and `ephemeral-storage-too-small`.
        """
        return FromS3(path=os.fspath(path), name=name, version=version)

    @staticmethod
    def from_bucket(
        *,
        bucket: s3.IBucket,
        prefix: str,
        manifest: str | os.PathLike[str] | None = None,
        parts: Sequence[ModelPart] | None = None,
        name: str | None = None,
        version: str = "1",
    ) -> FromBucket:
        """The model is in a bucket already, and each environment downloads it to `/tmp` at its cold start.

        Its digest must be known at synth, because it is what makes a new model a new version of the function, and
        what the download is checked against: give the package's `manifest.json`, or its parts.

        Args:
            bucket: The bucket, in the function's region. If it is encrypted with a key of your own, let
                `InferenceFunction.role` decrypt with it.
            prefix: What the keys begin with, up to the parts' own paths, e.g. `models/resnet/3/`; a `/` is added
                where there is none. Never overwrite what a deployed function reads: use a new prefix for each model.
            manifest: The package's `manifest.json` on this machine, as `onnx-inference prepare` wrote it; it must be
                in the bucket with the parts. Default: none.
            parts: All files of the model instead, one of them `model.onnx`. Default: those of the manifest.
            name: As for `in_image`. Default: the manifest's name, or the last part of `prefix`.
            version: As for `in_image`.

        Returns:
            The source, for `InferenceFunction(model=...)`, which raises `InvalidInferenceConfig` with the codes
            `model-manifest`, `model-parts`, `model-prefix`, `model-too-large`, `model-digest-mismatch`, `model-name`,
            `model-version` or `ephemeral-storage-too-small`.
        """
        return FromBucket(
            bucket=bucket,
            prefix=prefix,
            manifest=None if manifest is None else os.fspath(manifest),
            parts=None if parts is None else tuple(parts),
            name=name,
            version=version,
        )

    @staticmethod
    def on_efs(
        path: str | os.PathLike[str],
        *,
        file_system: ModelFileSystem,
        keep_versions: int = 3,
        name: str | None = None,
        version: str = "1",
    ) -> OnMount:
        """The model is put on an EFS file system at deployment, and mapped from there.

        Right for models of gigabytes: a cold start reads only what it needs, and neither the image nor `/tmp` holds
        the model. The function runs in the file system's VPC.

        Args:
            path: As for `in_image`; `goldens/` are not copied. A change of the content puts the new model beside the
                former ones, and then publishes a new version.
            file_system: Where. It may hold any number of models, of any number of functions.
            keep_versions: How many of this function's models stay on the file system, the newest and those before it:
                2 to 100. `live` can be pointed back to versions with these. A change affects the next deployment.
                Default: 3.
            name: As for `in_image`.
            version: As for `in_image`.

        Returns:
            The source, for `InferenceFunction(model=...)`, which raises `InvalidInferenceConfig` with the codes of
            `in_image` and `keep-versions-range`, `vpc-of-file-system` or `model-mounts`.
        """
        return OnMount(path=os.fspath(path), mount=file_system, keep_versions=keep_versions, name=name, version=version)

    @staticmethod
    def on_s3_files(
        path: str | os.PathLike[str],
        *,
        file_system: ModelS3Files,
        keep_versions: int = 3,
        name: str | None = None,
        version: str = "1",
    ) -> OnMount:
        """The model is put on an S3 Files file system at deployment: a mount whose files are objects of a bucket.

        As `on_efs`, with large reads streamed from S3 at S3's price. The function runs in the file system's VPC.

        Args:
            path: As for `on_efs`.
            file_system: Where. It may hold any number of models, of any number of functions.
            keep_versions: As for `on_efs`.
            name: As for `in_image`.
            version: As for `in_image`.

        Returns:
            The source; codes as for `on_efs`.
        """
        return OnMount(path=os.fspath(path), mount=file_system, keep_versions=keep_versions, name=name, version=version)


@dataclass(frozen=True, slots=True, kw_only=True)
class InImage(ModelSource):
    """See `ModelSource.in_image`."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromS3(ModelSource):
    """See `ModelSource.from_s3`."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromBucket(ModelSource):
    """See `ModelSource.from_bucket`."""

    bucket: s3.IBucket
    prefix: str
    manifest: str | None
    parts: tuple[ModelPart, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnMount(ModelSource):
    """See `ModelSource.on_efs` and `ModelSource.on_s3_files`."""

    path: str
    mount: ModelFileSystem | ModelS3Files
    keep_versions: int


LocalModel = InImage | FromS3 | OnMount
"""Sources whose files are on the machine that synthesises."""
