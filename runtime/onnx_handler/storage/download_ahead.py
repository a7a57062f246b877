"""Begins the download of models from S3 in a process of its own, while this one imports numpy and onnxruntime.

A thread would wait for the interpreter's lock, which the imports hold, up to 5 ms for every 16 KB that TLS hands out,
and could not import its client beside them. A fork has what awslambdaric imported already, and costs a millisecond or
two.

The two meet in the store, whose locks make whoever comes second wait and find the work done. If the fork fails,
this process does it itself, and tells what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import active_count


def start(environment: Mapping[str, str]) -> None:
    """Begins, and returns at once.

    In a process of several threads it does nothing: a fork would find the locks that they hold held for ever.
    """
    if active_count() > 1:
        return
    child = os.fork()
    if child == 0:
        # By a second fork it is nobody's child: whose request it is must not find a process that it has not started.
        if os.fork() == 0:
            try:
                _download(environment)
            finally:
                os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)


def _download(environment: Mapping[str, str]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # whoever reads them waits for their end
        os.dup2(nothing, standard)
    from onnx_handler.settings import Settings

    from .model_store import Store, default_directory
    from .parts import size_of

    room: int | None = None
    for settings in Settings.all_from_environment(environment):
        room = settings.model_memory if room is None else room
        if settings.model_objects and (size := size_of(settings.model_objects)) <= room:
            Store(default_directory(), settings.cache_size).obtain(settings.model_objects)
            room -= size
