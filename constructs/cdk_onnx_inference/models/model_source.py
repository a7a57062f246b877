"""Where a model comes from."""

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

    `in_image` needs no other service and suits most models. `from_s3`, `on_efs` and `on_s3_files` are for models that
    are too large for an image, or that change more often than the image. `docs/model-sources.md` compares cost, cold
    start and limits.

    The factories read nothing. The construct that is given the source reads the model, and reports its problems
    together with all others.

    Attributes:
        name: The model's name in the Open Inference Protocol, or None for a name that is taken from the path.
        version: The model's version in the Open Inference Protocol.
    """

    name: str | None
    version: str

    @staticmethod
    def in_image(path: str | os.PathLike[str], *, name: str | None = None, version: str = "1") -> InImage:
        """The model is copied into the container image.

        Suits models up to a few gigabytes (a Lambda image holds 10 GB). A cold start needs no network, no permission
        and no other service to load it.

        Args:
            path: An .onnx file, or a package directory: one with `model.onnx` and, beside it, the files with its
                weights, `manifest.json` and `goldens/`. Files with weights are found through the graph, and must be in
                the graph's directory or below. Nothing else of the directory is copied. A relative path is relative to
                the current directory: prefer `Path(__file__).parent / ...` in an app. A change of the model's content
                makes a new image and publishes a new version of the function.
            name: The name in the protocol's paths, `/v2/models/{name}/infer`: 1 to 64 letters, digits, `_`, `.` and
                `-`, the first a letter or digit. A change publishes a new version. Default: the name of the file
                without `.onnx`; the name of the directory if `path` is a directory or the file is called `model.onnx`.
            version: The version in the protocol's paths, `/v2/models/{name}/versions/{version}`: a decimal number, as a
                string. A change publishes a new version. Default: `"1"`.

        Returns:
            The source, for `InferenceFunction(model=...)`, which raises `InvalidInferenceConfig` with the codes
            `model-missing`, `model-not-onnx`, `model-git-lfs-pointer`, `model-weights-missing`,
            `model-weights-outside`, `model-weights-cut-off`, `model-file-collision`, `model-ir-version`,
            `model-opset`, `model-too-large`, `model-name` or `model-version`. If a package's `manifest.json` cannot be
            read or belongs to other files, the codes are `model-manifest` or `model-digest-mismatch`.
        """
        return InImage(path=os.fspath(path), name=name, version=version)

    @staticmethod
    def from_s3(path: str | os.PathLike[str], *, name: str | None = None, version: str = "1") -> FromS3:
        """The model is uploaded to S3 at deployment, and each environment downloads it to `/tmp` at its cold start.

        Suits models that change often (the image stays the same), and models of up to 10 GB that are too large for an
        image. A cold start takes as long as the download: Lambda gives an environment 78 MB/s. It needs no VPC.

        Each file of the model is an asset of its own; files that were deployed before are not uploaded again. The
        function may read exactly these objects. When a model is replaced, older Lambda versions lose the permission to
        read theirs: to go back, deploy the former model again. During a deployment the version that still serves keeps
        its permission.

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

        Synth needs the model's digest: a new digest publishes a new version of the function, and the download is
        checked against it. So give either the package's `manifest.json`, or the model's parts.

        Args:
            bucket: The bucket, in the function's region. If it is encrypted with a KMS key of your own, allow
                `InferenceFunction.role` to decrypt with the key.
            prefix: What the keys begin with, before the parts' own paths, e.g. `models/resnet/3/`. A `/` is added at
                its end if there is none. Never overwrite objects that a deployed function reads: use a new prefix for
                each model.
            manifest: The package's `manifest.json` on this machine, as `onnx-inference prepare` wrote it. It must be in
                the bucket too, beside the parts. Default: none.
            parts: All files of the model, one of them `model.onnx`. Default: those of the manifest.
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
        """The model is copied to an EFS file system at deployment, and memory-mapped from there.

        Suits models of gigabytes: a cold start reads only the parts of the model that it needs, and neither the image
        nor `/tmp` holds it. The function runs in the file system's VPC.

        Args:
            path: As for `in_image`; `goldens/` are not copied. A change of the content copies the new model beside the
                former ones, and then publishes a new version.
            file_system: The file system. It may hold any number of models, of any number of functions.
            keep_versions: How many of this function's newest models stay on the file system, 2 to 100. `live` can be
                pointed back to versions with these models. A change takes effect when it is deployed. Default: 3.
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
        """The model is copied to an S3 Files file system at deployment: a mount with the objects of a bucket as files.

        As `on_efs`, but large reads are streamed from S3, at S3's price. The function runs in the file system's VPC.

        Args:
            path: As for `on_efs`.
            file_system: The file system. It may hold any number of models, of any number of functions.
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
"""Sources with files on the machine that synthesises."""
