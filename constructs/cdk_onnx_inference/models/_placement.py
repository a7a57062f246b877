"""Where each model of a function is: in the image, in S3, or on a mounted file system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from aws_cdk import Names
from constructs import Construct

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.image._image_context import MODEL_DIRECTORY

from . import _s3_objects
from ._s3_objects import ModelObject
from ._served_model import ServedModel
from .model_source import FromBucket, InImage, OnMount


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedModel:
    """A model, and where it is.

    Attributes:
        model: The model.
        construct_id: The last part of the ids of constructs that are made for this model.
        path: The directory that the runtime loads it from: relative to the task root, or absolute on a mount. None for
            a model that is downloaded.
        objects: Its parts in S3. Empty for a model in the image.
        mount_directory: The directory below the mount that belongs to this model of this function alone, because
            publishing a model deletes old ones in it. None for a model that is not on a mount.
    """

    model: ServedModel
    construct_id: str
    path: str | None
    objects: list[ModelObject]
    mount_directory: str | None


def place(function: Construct, models: Sequence[ServedModel]) -> list[PlacedModel]:
    """Decides where each model goes. Parts that are uploaded become assets of the function.

    Args:
        function: The construct of the function.
        models: All models of the function.
    """
    return [_place(function, models, number) for number in range(len(models))]


def image_files(models: Sequence[ServedModel]) -> dict[str, Path]:
    """Contents of the image's `model/`: a single model itself, or a directory for each of several."""
    return {
        str(_image_directory(models, model) / name): file
        for model in models
        if isinstance(model.source, InImage)
        for name, file in model.files.items()
    }


def image_digest(models: Sequence[ServedModel]) -> str:
    """The digests of the models in the image. Empty when there are none."""
    return " ".join(model.digest for model in models if isinstance(model.source, InImage))


def _place(function: Construct, models: Sequence[ServedModel], number: int) -> PlacedModel:
    model = models[number]
    construct_id = _construct_id(models, number)
    path = mount_directory = None
    objects: list[ModelObject] = []
    if isinstance(model.source, FromBucket):
        objects = _s3_objects.in_bucket(model.source.bucket, model.source.prefix, model.parts)
    elif not isinstance(model.source, InImage):
        objects = _s3_objects.upload(Construct(function, construct_id), model.parts, model.files)
    if isinstance(model.source, InImage):
        path = str(PurePosixPath(MODEL_DIRECTORY) / _image_directory(models, model))
    elif isinstance(model.source, OnMount):
        mount_directory = _mount_directory(function, models, number)
        path = f"{model.source.mount.mount_path}/{mount_directory}/{model.directory_name}"
    return PlacedModel(
        model=model, construct_id=construct_id, path=path, objects=objects, mount_directory=mount_directory
    )


def _image_directory(models: Sequence[ServedModel], model: ServedModel) -> PurePosixPath:
    """Below the image's `model/`."""
    return PurePosixPath() if len(models) == 1 else PurePosixPath(model.directory_name[:16])


def _construct_id(models: Sequence[ServedModel], number: int) -> str:
    """With several models: name and version, or the number where one of these is known only at deployment."""
    if len(models) == 1:
        return "Model"
    known = _known_name_and_version(models[number])
    return "-".join(["Model", *known]) if known else f"Model{number}"


def _mount_directory(function: Construct, models: Sequence[ServedModel], number: int) -> str:
    of_function = Names.unique_resource_name(function, max_length=100, separator="-")
    if len(models) == 1:
        return of_function
    known = _known_name_and_version(models[number])
    return "/".join([of_function, *known]) if known else f"{of_function}/{number}"


def _known_name_and_version(model: ServedModel) -> tuple[str, ...]:
    texts = (model.name, model.source.version)
    return () if any(is_unresolved(text) for text in texts) else texts
