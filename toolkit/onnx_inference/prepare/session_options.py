"""The session options that a package carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

Level: TypeAlias = Literal["disable", "basic", "extended", "all"]

DISABLE_PREPACKING = "session.disable_prepacking"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What the manifest's member `session` says; the defaults are onnxruntime's own.

    Attributes:
        graph_optimization_level: How far onnxruntime optimises the graph at load.
        intra_op_num_threads: Threads of one operator; None for as many as the function has vCPUs.
        enable_cpu_mem_arena: Whether memory of tensors is kept between calls.
        enable_mem_pattern: Whether memory of a call is planned from the one before of the same shapes.
        config: Session configuration entries, sorted by key.
    """

    graph_optimization_level: Level = "all"
    intra_op_num_threads: int | None = None
    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    config: tuple[tuple[str, str], ...] = ()

    @property
    def prepacking(self) -> bool:
        """Whether weights are copied into the layout of the CPU's kernels at load."""
        return (DISABLE_PREPACKING, "1") not in self.config

    def to_manifest(self) -> dict[str, Any]:
        """The form that the manifest has."""
        return {
            "graph_optimization_level": self.graph_optimization_level,
            "intra_op_num_threads": self.intra_op_num_threads,
            "enable_cpu_mem_arena": self.enable_cpu_mem_arena,
            "enable_mem_pattern": self.enable_mem_pattern,
            "config": dict(self.config),
        }

    @classmethod
    def from_manifest(cls, session: Mapping[str, Any]) -> SessionOptions:
        """Reads the manifest's form.

        Raises:
            ValueError: a member has a value that it cannot have.
        """
        options = cls(
            graph_optimization_level=session.get("graph_optimization_level", "all"),
            intra_op_num_threads=session.get("intra_op_num_threads"),
            enable_cpu_mem_arena=session.get("enable_cpu_mem_arena", True),
            enable_mem_pattern=session.get("enable_mem_pattern", True),
            config=tuple(sorted(session.get("config", {}).items())),
        )
        threads = options.intra_op_num_threads
        if (
            options.graph_optimization_level not in get_args(Level)
            or not (threads is None or (type(threads) is int and threads >= 1))
            or type(options.enable_cpu_mem_arena) is not bool
            or type(options.enable_mem_pattern) is not bool
            or any(type(text) is not str for entry in options.config for text in entry)
        ):
            raise ValueError(f"session options that onnxruntime does not have: {dict(session)}")
        return options
