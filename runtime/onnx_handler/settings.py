"""The function's environment variables, read once. `docs/environment-variables.md` explains each of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ModelUnusable

if TYPE_CHECKING:
    from .model_objects import Part

# Every variable; the constructs have the same list, and a contract test holds the two equal.
NAMES = frozenset(
    {
        "MODEL_PATH",
        "MODEL_OBJECTS",
        "MODEL_CACHE_SIZE",
        "MODELS",
        "MODEL_NAME",
        "MODEL_VERSION",
        "MODEL_DIGEST",
        "PROCESSING_PATH",
        "VERIFY_TARGET",
        "VERIFY_GOLDENS",
        "METRICS_NAMESPACE",
        "ORT_DISABLE_TELEMETRY",  # read by onnxruntime itself, at import
        "JOBS_TABLE_NAME",  # this and all that follow are read by `jobs.settings`
        "JOBS_QUEUE_URL",
        "PAYLOAD_BUCKET_NAME",
        "JOB_TIMEOUT",
        "JOB_RETENTION",
        "PARKED_QUEUE_URL",
        "MODEL_SIGNATURES",
        "MICRO_BATCH_SIZE",
    }
)


# Memory in MB that the interpreter, onnxruntime and a request need in addition to the models.
RESERVED_MEMORY = 256


class Settings(NamedTuple):
    """The settings of one model. Paths are absolute; `memory_size` is in MB, `cache_size` in bytes.

    A model has either `model_path`, or `model_objects` if it comes from S3.
    """

    model_path: str
    model_name: str
    model_version: str
    model_digest: str
    processing_path: str | None
    metrics_namespace: str
    function_name: str
    function_version: str
    memory_size: int
    model_objects: tuple[Part, ...] = ()
    cache_size: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads the settings of a function with one model.

        Raises:
            ModelUnusable: neither MODEL_PATH nor MODEL_OBJECTS is set, or a variable is wrong.
        """
        objects = environment.get("MODEL_OBJECTS")
        model = {
            "name": environment.get("MODEL_NAME"),
            "version": environment.get("MODEL_VERSION"),
            "digest": environment.get("MODEL_DIGEST"),
            "path": environment.get("MODEL_PATH"),
            "objects": _json("MODEL_OBJECTS", objects) if objects else None,
            "processing": environment.get("PROCESSING_PATH"),
        }
        return cls._of(("MODEL_PATH", "MODEL_OBJECTS"), model, environment)

    @classmethod
    def all_from_environment(cls, environment: Mapping[str, str] = os.environ) -> list[Settings]:
        """Reads the settings of all models: those in MODELS, or the only one.

        Raises:
            ModelUnusable: there is no model, or a variable is wrong.
        """
        if not environment.get("MODELS"):
            return [cls.from_environment(environment)]
        models = _json("MODELS", environment["MODELS"])
        if not isinstance(models, list) or not models or not all(isinstance(model, dict) for model in models):
            raise ModelUnusable(f"MODELS is {models!r:.80}; a list of objects is expected")
        every = [
            cls._of((f"MODELS[{index}].path", f"MODELS[{index}].objects"), model, environment)
            for index, model in enumerate(models)
        ]
        names = [(settings.model_name, settings.model_version) for settings in every]
        if len(set(names)) != len(names):
            raise ModelUnusable(f"MODELS has a name and version twice: {names}")
        return every

    @classmethod
    def _of(cls, names: tuple[str, str], model: dict[str, Any], environment: Mapping[str, str]) -> Settings:
        what_path, what_objects = names
        root = environment.get("LAMBDA_TASK_ROOT", ".")
        path, objects, processing_path = model.get("path"), model.get("objects"), model.get("processing")
        for name in ("name", "version", "digest", "path", "processing"):
            if not isinstance(model.get(name), (str, type(None))):
                raise ModelUnusable(
                    f"{what_path.rpartition('.')[0]}.{name} is {model[name]!r:.80}; a string is expected"
                )
        parts: tuple[Part, ...] = ()
        if objects:
            from .model_objects import check_digest, parse

            parts = parse(what_objects, objects)
            check_digest(what_objects, parts, model.get("digest") or "")
        elif not path:
            raise ModelUnusable(
                f"{what_path} is not set: it names the model package directory, or the .onnx file, "
                f"relative to LAMBDA_TASK_ROOT or absolute; {what_objects} takes its place for a model in S3"
            )
        cache_size = environment.get("MODEL_CACHE_SIZE")
        return cls(
            model_path="" if parts else os.path.join(root, path or ""),  # noqa: PTH118 - not worth pathlib's import
            model_name=model.get("name") or "model",
            model_version=model.get("version") or "1",
            model_digest=model.get("digest") or "",
            processing_path=os.path.join(root, processing_path) if processing_path else None,  # noqa: PTH118
            metrics_namespace=environment.get("METRICS_NAMESPACE") or "OnnxInference",
            function_name=environment.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=environment.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            memory_size=int(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 1769),
            model_objects=parts,
            cache_size=_megabytes("MODEL_CACHE_SIZE", cache_size) if cache_size else None,
        )

    @property
    def model_memory(self) -> int:
        """Bytes of the function's memory that all models together may take."""
        return max(self.memory_size - RESERVED_MEMORY, self.memory_size // 4) * 1024**2


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelUnusable(f"{name} is not JSON: {error}") from None


def _megabytes(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ModelUnusable(f"{name} is {text!r}; a whole number of MB is expected")
    return int(text) * 1024**2
