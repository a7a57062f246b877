"""The models of one function: what they are, whether they fit together, and what the runtime is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Size

from cdk_onnx_inference import _environment, _validation
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.image import _image_context

from . import _bucket_parts, _model_files, _model_manifest, _signature
from ._model_mount import ModelMount
from ._signature import Signature
from .model_part import ModelPart
from .model_source import FromBucket, FromS3, InImage, LocalModel, ModelSource, OnMount

_TMP_ROOM = 64
"""MiB of `/tmp` that downloaded models leave free, for caches of the user's own code."""

_TMP_DEFAULT, _TMP_MAX = 512, 10240

_MEASURED = "were measured for the model when it was prepared"
_IN_GRAPH = "are weights in the model's graph file, which are copied when it is loaded"

_INTERPRETER_BYTES = 100 * 1000**2
"""Python, onnxruntime, numpy and the handler, before a model is loaded."""

ENVIRONMENT_BYTES = 4096
"""Limit of all variables of a function together.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model that is fit to be served.

    Attributes:
        source: Where it comes from.
        name: Its name in the Open Inference Protocol.
        digest: `sha256:<hex>` of its graph and weights.
        files: Relative posix name -> file on this machine; empty when it is in a bucket already.
        parts: What is uploaded or downloaded of it.
        weights_in_graph: Bytes of weights inside the graph file, as far as known.
        anonymous_bytes: Memory that loading and one run were measured to take, or None.
        load_ms: What loading was measured to take on a machine of its own, or None.
        signature: What it takes and gives, as far as known.
    """

    source: ModelSource
    name: str
    digest: str
    files: Mapping[str, Path]
    parts: tuple[ModelPart, ...]
    weights_in_graph: int
    anonymous_bytes: int | None
    load_ms: float | None
    signature: Signature | None

    @property
    def is_downloaded(self) -> bool:
        """Whether it is in `/tmp` while it is served."""
        return isinstance(self.source, FromS3 | FromBucket)

    @property
    def package_digest(self) -> str:
        """`sha256:<hex>` of all parts, the manifest among them: two with one graph are two where it differs."""
        return _model_manifest.digest_of(self.parts, manifest=True)

    @property
    def hexadecimal(self) -> str:
        """The package's digest without its prefix: the name of its directory wherever several lie side by side."""
        return self.package_digest.removeprefix("sha256:")


def collect(path: str, model: ModelSource | Sequence[ModelSource]) -> tuple[list[ServedModel], list[Problem]]:
    """Reads all models.

    Args:
        path: The problems' path: that of the argument.
        model: What the user gave: one source, or several.

    Returns:
        The models that could be read, and the problems of the others and of all together.
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
    """The file system of the function, if it has one."""
    return next((model.source.mount for model in models if isinstance(model.source, OnMount)), None)


def memory_size(path: str, value: float, models: Sequence[ServedModel]) -> list[Problem]:
    """Memory for what the models' manifests say they take. Others count with the weights that are in their graph.

    Those are copied when they are loaded. What weights beside the graph take, nobody knows who has not measured it.
    """
    if is_unresolved(value):
        return []
    anonymous = sum(
        model.weights_in_graph if model.anonymous_bytes is None else model.anonymous_bytes for model in models
    )
    measured = any(model.anonymous_bytes for model in models)
    needed = -(-(_INTERPRETER_BYTES + anonymous) // 1024**2)
    if not anonymous or value >= needed:
        return []
    return [
        Problem(
            "memory-too-small",
            path,
            f"{value} MB",
            f"at least {needed} MB: "
            f"{anonymous / 1e6:.0f} MB {_MEASURED if measured else _IN_GRAPH}, "
            f"{_INTERPRETER_BYTES // 1000**2} MB are Python and onnxruntime",
            f"Give memory_size={min(max(needed, 1769), 10240)} or more, or prepare the model for less memory: "
            "onnx-inference prepare --objective memory.",
        )
    ]


def ephemeral_storage(
    path: str, value: Size | None, models: Sequence[ServedModel]
) -> tuple[Size | None, int | None, list[Problem]]:
    """`/tmp` for the models that are downloaded.

    Args:
        path: The problems' path: that of the argument.
        value: What the user gave.
        models: Of the function.

    Returns:
        What to give the function, the budget of the downloaded models in MB or None without such models (or with a
        size that is known only at deployment), and the problems.
    """
    downloaded = {
        model.package_digest: sum(part.size for part in model.parts) for model in models if model.is_downloaded
    }
    if not downloaded:
        return value, None, []
    needed = -(-sum(downloaded.values()) // 1000**2) + _TMP_ROOM
    if value is None and needed <= _TMP_DEFAULT:
        return None, _TMP_DEFAULT - _TMP_ROOM, []
    if value is None:
        value = Size.mebibytes(min(needed, _TMP_MAX))
    if not isinstance(value, Size) or value.is_unresolved():
        return value, None, []
    size = int(value.to_bytes()) // 1024**2
    if size >= needed:
        return value, size - _TMP_ROOM, []
    return (
        value,
        None,
        [
            Problem(
                "ephemeral-storage-too-small",
                path,
                f"{size} MiB",
                f"at least {needed} MiB for the models that are downloaded, and at most {_TMP_MAX}",
                "Leave the argument out for what they need, or put models on a file system: ModelSource.on_efs.",
            )
        ],
    )


def image_files(models: Sequence[ServedModel]) -> dict[str, Path]:
    """What goes into the image's `model/`: the one model itself, or a directory for each of several."""
    if len(models) == 1:
        (model,) = models
        return dict(model.files) if isinstance(model.source, InImage) else {}
    return {
        f"{_directory(model)}/{name}": file
        for model in models
        if isinstance(model.source, InImage)
        for name, file in model.files.items()
    }


def image_digest(models: Sequence[ServedModel]) -> str:
    """Of the models in the image; empty without such models."""
    return " ".join(model.digest for model in models if isinstance(model.source, InImage))


def signatures(models: Sequence[ServedModel], *, processed: bool) -> str:
    """The file with the models' signatures, for functions that do not load them.

    Of models whose name or version is known only at deployment nothing can be said, and then nothing is said of the
    others either: an empty list means that any model may be asked for.

    Args:
        models: Of the function.
        processed: Whether the user's own file comes between a request and the model, so that the model's signature is
            not the requests'.
    """
    if any(is_unresolved(text) for model in models for text in (model.name, model.source.version)):
        return _signature.as_json([])
    return _signature.as_json(
        (model.name, model.source.version, None if processed else model.signature) for model in models
    )


def environment(
    models: Sequence[ServedModel],
    *,
    objects: Mapping[int, str],
    directories: Mapping[int, str],
    cache_size: int | None,
    processing: str | None,
) -> dict[str, str]:
    """The variables by which the runtime finds the models.

    Args:
        models: Of the function.
        objects: Number of the model -> its parts in S3, as JSON; for those that are downloaded.
        directories: Number of the model -> the directory above its own; for those on a mount.
        cache_size: Budget of the downloaded models, in MB.
        processing: The processing file, relative to the task root.
    """

    def place(number: int, model: ServedModel) -> str | None:
        if number in directories:
            return f"{directories[number]}/{model.hexadecimal}"
        if number in objects:
            return None
        directory = _image_context.MODEL_DIRECTORY
        return directory if len(models) == 1 else f"{directory}/{_directory(model)}"

    variables: dict[str, str | None] = {_environment.MODEL_CACHE_SIZE: None if cache_size is None else str(cache_size)}
    if len(models) == 1:
        (model,) = models
        variables |= {
            _environment.MODEL_PATH: place(0, model),
            _environment.MODEL_OBJECTS: _objects(objects[0]) if 0 in objects else None,
            _environment.MODEL_NAME: model.name,
            _environment.MODEL_VERSION: model.source.version,
            _environment.MODEL_DIGEST: model.digest,
            _environment.PROCESSING_PATH: processing,
        }
    else:
        entries = []
        for number, model in enumerate(models):
            members = {
                "name": model.name,
                "version": model.source.version,
                "digest": model.digest,
                "path": place(number, model),
                "processing": processing,
            }
            entry = _compact({name: value for name, value in members.items() if value is not None})
            if number in objects:
                entry = f'{entry[:-1]},"objects":{_objects(objects[number])}}}'
            entries.append(entry)
        variables[_environment.MODELS] = f"[{','.join(entries)}]"
    return {name: value for name, value in variables.items() if value is not None}


def environment_size(path: str, length: int) -> list[Problem]:
    """4 KB for all variables together, as Lambda measures them: as one JSON object."""
    if length <= ENVIRONMENT_BYTES:
        return []
    return [
        Problem(
            "environment-too-large",
            path,
            f"{length} bytes of variables",
            f"at most {ENVIRONMENT_BYTES} bytes, names and those of models that are downloaded included",
            "Shorten environment=, serve fewer models in one function, or keep a model's weights in fewer files.",
        )
    ]


def _collect(path: str, source: ModelSource) -> tuple[list[ServedModel], list[Problem]]:
    problems: list[Problem] = []
    models: list[ServedModel] = []
    if isinstance(source, FromBucket):
        found, problems = _bucket_parts.collect(path, source)
        if found is not None:
            models = [
                ServedModel(
                    source,
                    found.name,
                    found.digest,
                    {},
                    found.parts,
                    0,
                    found.anonymous_bytes,
                    found.load_ms,
                    found.signature,
                )
            ]
    elif isinstance(source, LocalModel):
        files, problems = _model_files.collect(path, source)
        if files is not None:
            models = [
                ServedModel(
                    source,
                    files.name,
                    files.digest,
                    files.files,
                    files.parts,
                    files.weights_in_graph,
                    files.anonymous_bytes,
                    files.load_ms,
                    files.signature,
                )
            ]
    else:
        raise TypeError(f"{path} must come from a factory of ModelSource, not be {source!r}")
    for model in models:
        problems += _validation.model_name(f"{path}.name", model.name)
    problems += _validation.model_version(f"{path}.version", source.version)
    if isinstance(source, OnMount):
        problems += _validation.keep_versions(f"{path}.keep_versions", source.keep_versions)
    return models, problems


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


def _directory(model: ServedModel) -> str:
    return model.hexadecimal[:16]


def _objects(parts: str) -> str:
    return f'{{"parts":{parts}}}'


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
