"""What the models need of their function: memory, and space in `/tmp`."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Size

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

from ._served_model import ServedModel

_INTERPRETER_BYTES = 100 * 1000**2
"""Memory of Python, onnxruntime, numpy and the handler before a model is loaded."""

_MEASURED = "were measured for the model when it was prepared"
_IN_GRAPH = "are weights in the model's graph file, which are copied when it is loaded"

_TMP_ROOM = 64
"""MiB of `/tmp` that downloaded models leave free for caches of the user's own code."""

_TMP_DEFAULT, _TMP_MAX = 512, 10240


def memory_size(path: str, value: float, models: Sequence[ServedModel]) -> list[Problem]:
    """Checks the function's memory against what the models' manifests say was measured.

    A model without a measurement counts with the weights in its graph file, because loading copies them. How much
    memory weights in other files take is not known without a measurement.
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
    """Sizes `/tmp` for the models that are downloaded.

    Args:
        path: The problems' path: the argument's.
        value: What the user gave.
        models: All models of the function.

    Returns:
        The size for the function; the MB that downloaded models may take, or None if there are no such models or the
        size is known only at deployment; the problems.
    """
    downloaded = {model.package_digest: model.size for model in models if model.is_downloaded}
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
