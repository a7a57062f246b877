"""Reads the argument `model=` of a function: each model by itself, and whether all of them fit into one function."""

from __future__ import annotations

from collections.abc import Sequence

from cdk_onnx_inference import _validation
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from . import _bucket_model, _local_model
from ._mount import ModelMount
from ._served_model import ServedModel
from .model_source import FromBucket, LocalModel, ModelSource, OnMount


def collect(path: str, model: ModelSource | Sequence[ModelSource]) -> tuple[list[ServedModel], list[Problem]]:
    """Reads all models.

    Args:
        path: The problems' path: the argument's.
        model: What the user gave: one source, or several.

    Returns:
        The models that could be read, and all problems.
    """
    if isinstance(model, ModelSource):
        return _collect(path, model)
    if not model:
        return [], [Problem("model-missing", path, "no model", "at least one", "Give e.g. ModelSource.in_image(path).")]
    models: list[ServedModel] = []
    problems: list[Problem] = []
    for number, source in enumerate(model):
        found, wrong = _collect(f"{path}[{number}]", source)
        models += found
        problems += wrong
    return models, problems + _duplicates(path, models) + _mounts(path, models)


def mount_of(models: Sequence[ServedModel]) -> ModelMount | None:
    """The file system that the models are on, or None if none of them is on one."""
    return next((model.source.mount for model in models if isinstance(model.source, OnMount)), None)


def _collect(path: str, source: ModelSource) -> tuple[list[ServedModel], list[Problem]]:
    if isinstance(source, FromBucket):
        model, problems = _bucket_model.collect(path, source)
    elif isinstance(source, LocalModel):
        model, problems = _local_model.collect(path, source)
    else:
        raise TypeError(f"{path} must come from a factory of ModelSource, not be {source!r}")
    if model is not None:
        problems += _validation.model_name(f"{path}.name", model.name)
    problems += _validation.model_version(f"{path}.version", source.version)
    if isinstance(source, OnMount):
        problems += _validation.keep_versions(f"{path}.keep_versions", source.keep_versions)
    return [] if model is None else [model], problems


def _duplicates(path: str, models: Sequence[ServedModel]) -> list[Problem]:
    problems = []
    seen = set()
    for model in models:
        identity = (model.name, model.source.version)
        if identity in seen and not any(is_unresolved(text) for text in identity):
            problems.append(
                Problem(
                    "model-duplicate",
                    path,
                    f"{model.name!r} in version {model.source.version!r} twice",
                    "each name and version once",
                    "Give name= or version= to one of them.",
                )
            )
        seen.add(identity)
    return problems


def _mounts(path: str, models: Sequence[ServedModel]) -> list[Problem]:
    mounts = {model.source.mount.node.path: model.source.mount for model in models if isinstance(model.source, OnMount)}
    if len(mounts) < 2:
        return []
    return [
        Problem(
            "model-mounts",
            path,
            f"models on {len(mounts)} file systems: {', '.join(sorted(mounts))}",
            "one file system for a function, which is as many as Lambda mounts",
            "Put them on one file system, or serve them in several functions.",
        )
    ]
