"""The onnxruntime session, with threads for the vCPUs that the function has."""

from __future__ import annotations

import os

import onnxruntime

from onnx_handler.errors import ModelUnusable

from . import manifest

# AWS Lambda "Configure function memory": at 1,769 MB a function has the equivalent of one vCPU; CPU is proportional.
MB_PER_VCPU = 1769


def thread_count(memory_size: int, cores: int) -> int:
    """Threads for a function of `memory_size` MB: its vCPUs, rounded, at least one, at most the visible cores.

    With more threads than vCPUs, Lambda throttles the function; with fewer, it does not use all CPU that is paid for.
    """
    return max(1, min(cores, round(memory_size / MB_PER_VCPU)))


def session_options(memory_size: int) -> onnxruntime.SessionOptions:
    """The defaults: one operator at a time, on all vCPUs, without spinning, which would take CPU from other threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count(memory_size, len(os.sched_getaffinity(0)))
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # only fatal: errors are raised, and logged when the request is answered
    return options


def model_file(path: str) -> str:
    """The .onnx file of a model package directory, or `path` itself if it is a file.

    Raises:
        ModelUnusable: there is no such file, or it cannot be read.
    """
    file = os.path.join(path, "model.onnx") if os.path.isdir(path) else path  # noqa: PTH112, PTH118
    if not os.path.isfile(file):  # noqa: PTH113 - pathlib is not worth its import here
        raise ModelUnusable(f"there is no model at {file!r} (MODEL_PATH)")
    if not os.access(file, os.R_OK):
        raise ModelUnusable(f"the model at {file!r} is not readable by this function's user (uid {os.getuid()})")
    return file


def open_session(path: str, memory_size: int) -> onnxruntime.InferenceSession:
    """Loads the model.

    Args:
        path: a model package directory or an .onnx file.
        memory_size: the function's memory in MB, which decides its threads.

    Raises:
        ModelUnusable: the file is missing or unreadable, this onnxruntime cannot load it, or the session options of
            the package's manifest are wrong.
    """
    file = model_file(path)
    options = session_options(memory_size)
    manifest.read(path).apply(options)
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelUnusable(f"onnxruntime {onnxruntime.__version__} cannot load {file!r}: {error}") from error
