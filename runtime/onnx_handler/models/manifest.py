"""The session options of a model package: the member `session` of its manifest.json.

An .onnx file alone, and a manifest without `session`, get the defaults of `models.session`. Members that are not known
here are ignored, because other programs may read them.
"""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import onnxruntime

from onnx_handler.errors import ModelUnusable

_LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class SessionManifest(NamedTuple):
    """The session options of a manifest; None, or no entry in `config`, leaves the default."""

    graph_optimization_level: str | None = None
    intra_op_num_threads: int | None = None
    enable_cpu_mem_arena: bool | None = None
    enable_mem_pattern: bool | None = None
    config: tuple[tuple[str, str], ...] = ()

    def apply(self, options: onnxruntime.SessionOptions) -> None:
        """Sets the options that the manifest has.

        Raises:
            ModelUnusable: onnxruntime refuses a configuration entry.
        """
        if self.graph_optimization_level is not None:
            options.graph_optimization_level = _LEVELS[self.graph_optimization_level]
        if self.intra_op_num_threads is not None:
            options.intra_op_num_threads = self.intra_op_num_threads
        if self.enable_cpu_mem_arena is not None:
            options.enable_cpu_mem_arena = self.enable_cpu_mem_arena
        if self.enable_mem_pattern is not None:
            options.enable_mem_pattern = self.enable_mem_pattern
        for key, value in self.config:
            try:
                options.add_session_config_entry(key, value)
            except Exception as error:  # onnxruntime's exceptions share no base class of their own
                raise ModelUnusable(
                    f"manifest.json: onnxruntime refuses session.config {key!r}: {value!r:.80}: {error}"
                ) from error


def read(path: str) -> SessionManifest:
    """Reads the manifest of a package directory; without a manifest, and for an .onnx file, there are no options.

    Raises:
        ModelUnusable: the manifest cannot be read, or an option is wrong.
    """
    file = os.path.join(path, "manifest.json")  # noqa: PTH118 - pathlib is not worth its import here
    try:
        with open(file, encoding="utf-8") as text:  # noqa: PTH123
            document = json.load(text)
    except (FileNotFoundError, NotADirectoryError):
        return SessionManifest()
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"the manifest {file!r} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise ModelUnusable(f"the manifest {file!r} is a JSON {type(document).__name__}; an object is expected")
    return parse(file, document.get("session"))


def parse(file: str, session: Any) -> SessionManifest:
    """Reads the member `session`; None if the manifest does not have it.

    Raises:
        ModelUnusable: options are wrong; the text names all of them.
    """
    if session is None:
        return SessionManifest()
    if not isinstance(session, dict):
        raise ModelUnusable(f"{file!r}: session is {session!r:.80}; an object is expected")
    wrong = []
    level = session.get("graph_optimization_level")
    if level is not None and level not in tuple(_LEVELS):  # not `in _LEVELS`: a JSON value may be unhashable
        wrong.append(f"graph_optimization_level is {level!r:.80}; allowed: {', '.join(_LEVELS)}")
    threads = session.get("intra_op_num_threads")
    if threads is not None and (type(threads) is not int or not 1 <= threads <= 1024):
        wrong.append(f"intra_op_num_threads is {threads!r:.80}; allowed: null, for one per vCPU, or 1 to 1024")
    for name in ("enable_cpu_mem_arena", "enable_mem_pattern"):
        if type(session.get(name)) not in (bool, type(None)):
            wrong.append(f"{name} is {session[name]!r:.80}; allowed: true, false")
    config = session.get("config")
    if config is None:
        config = {}
    if not isinstance(config, dict) or any(type(value) is not str for value in config.values()):
        wrong.append(f"config is {config!r:.80}; an object whose values are strings is expected")
    if wrong:
        raise ModelUnusable(f"{file!r}: session: {'; '.join(wrong)}")
    return SessionManifest(
        level, threads, session.get("enable_cpu_mem_arena"), session.get("enable_mem_pattern"), tuple(config.items())
    )
