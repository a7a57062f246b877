"""The function's environment, read once. The table is in `docs/environment.md`; a contract test holds both sides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from .errors import ModelUnusable

NAMES = frozenset(
    {
        "MODEL_PATH",
        "MODEL_NAME",
        "MODEL_VERSION",
        "MODEL_DIGEST",
        "PROCESSING_PATH",
        "METRICS_NAMESPACE",
        "ORT_DISABLE_TELEMETRY",  # read by onnxruntime itself, at import
    }
)


class Settings(NamedTuple):
    """One function's configuration. Paths are absolute; `memory_size` is in MB."""

    model_path: str
    model_name: str
    model_version: str
    model_digest: str
    processing_path: str | None
    metrics_namespace: str
    function_name: str
    function_version: str
    memory_size: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads the settings.

        Raises:
            ModelUnusable: MODEL_PATH is not set.
        """
        root = environment.get("LAMBDA_TASK_ROOT", ".")
        model_path = environment.get("MODEL_PATH")
        if not model_path:
            raise ModelUnusable(
                "MODEL_PATH is not set: it names the model package directory, or the .onnx file, "
                "relative to LAMBDA_TASK_ROOT or absolute"
            )
        processing_path = environment.get("PROCESSING_PATH")
        return cls(
            model_path=os.path.join(root, model_path),  # noqa: PTH118 - pathlib is not worth its import here
            model_name=environment.get("MODEL_NAME") or "model",
            model_version=environment.get("MODEL_VERSION") or "1",
            model_digest=environment.get("MODEL_DIGEST", ""),
            processing_path=os.path.join(root, processing_path) if processing_path else None,  # noqa: PTH118
            metrics_namespace=environment.get("METRICS_NAMESPACE") or "OnnxInference",
            function_name=environment.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=environment.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            memory_size=int(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 1769),
        )
