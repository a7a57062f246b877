"""Starts the download of models from S3 in a forked process, while this one imports numpy and onnxruntime.

A thread would not do. The imports hold the interpreter's lock, so it would wait up to 5 ms for each 16 KB that TLS
returns, and it could not import the S3 client meanwhile. A fork takes a millisecond or two, and has everything that
awslambdaric imported.

Both processes use the model cache: its locks make the second one wait until the model is there. If the forked process
fails, this one downloads the model itself, and reports what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import active_count


def start(environment: Mapping[str, str]) -> None:
    """Starts the download and returns at once.

    It does nothing in a process with several threads: a lock that one of them holds would never be released in the
    fork.
    """
    if active_count() > 1:
        return
    child = os.fork()
    if child == 0:
        # A second fork, so that this process has no child: a processing file that waits for its own child processes
        # must not meet this one.
        if os.fork() == 0:
            try:
                _download(environment)
            finally:
                os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)


def _download(environment: Mapping[str, str]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # whoever reads them waits until every process has closed them
        os.dup2(nothing, standard)
    from onnx_handler.model_objects import size_of
    from onnx_handler.settings import Settings

    from .model_cache import ModelCache, default_directory

    left: int | None = None
    for settings in Settings.all_from_environment(environment):
        left = settings.model_memory if left is None else left
        if settings.model_objects and (size := size_of(settings.model_objects)) <= left:
            ModelCache(default_directory(), settings.cache_size).obtain(settings.model_objects)
            left -= size
