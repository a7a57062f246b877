"""The graphs that a package could hold: optimised offline, and lower precision where it was asked for."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from onnx import ModelProto

from .errors import Refused
from .onnx_model import GRAPH, OnnxModel, check_structure, load_proto, read_model
from .precision import quantize_dynamic, quantize_static, to_float16
from .samples import Feed
from .session_options import SessionOptions
from .session_process import SessionFailed, run_session
from .weight_files import DATA, strip, write_model

Optimization: TypeAlias = Literal["none", "basic", "extended"]
Precision: TypeAlias = Literal["as-is", "int8-dynamic", "int8-static", "fp16"]

GROWTH = 1.1
"""An optimised graph may be this many times as large as the original. Folding constants can make a model grow."""

SMALL = 1_000_000
"""Bytes of growth that never matter."""


@dataclass(frozen=True, slots=True)
class GraphVariant:
    """A graph in a directory of its own.

    Attributes:
        optimization: What was done to it offline.
        precision: Of its weights and operators.
        directory: Holds the graph and its weights.
    """

    optimization: Optimization
    precision: Precision
    directory: Path

    @property
    def path(self) -> Path:
        """The .onnx file."""
        return self.directory / GRAPH

    @property
    def files(self) -> list[Path]:
        """The graph and, where there are any, its weights."""
        return [file for file in (self.path, self.directory / DATA) if file.is_file()]

    @property
    def size(self) -> int:
        """Bytes of the graph and its weights."""
        return sum(file.stat().st_size for file in self.files)


def make_variants(
    model: OnnxModel, scratch: Path, precision: Precision, calibration: Sequence[Feed]
) -> tuple[list[GraphVariant], list[str]]:
    """Makes the graphs to choose from.

    A graph is never optimised here at the level `all`: that one lays convolutions out for the vectors of the CPU at
    hand (NCHWc), and Lambda has several CPUs. `extended` turns 8-bit graphs into operators that depend on the CPU
    too, so those stay at `basic`. Both are done at load instead, on the CPU that runs them.

    Args:
        model: The original.
        scratch: Directory to write into.
        precision: What was asked for.
        calibration: Samples for `int8-static`.

    Returns:
        The graphs, simplest first, and what there is to say about those that are not among them.

    Raises:
        Refused: `quantize-nothing` or `fp16-too-large`.
    """
    notes: list[str] = []
    basic = _optimized(model, scratch, "basic", notes) or unoptimized(model, scratch / "none")
    if precision != "as-is":
        return [_with_precision(basic, scratch, precision, calibration)], notes
    if model.is_quantized():
        notes.append(
            "The 8-bit graph is optimised offline at level basic only: higher levels choose integer kernels by CPU."
        )
        return [basic], notes
    extended = _optimized(model, scratch, "extended", notes)
    if extended is None or extended.path.read_bytes() == basic.path.read_bytes():
        return [basic], notes
    return [basic, extended], notes


def _optimized(
    model: OnnxModel, scratch: Path, level: Literal["basic", "extended"], notes: list[str]
) -> GraphVariant | None:
    made = scratch / f"{level}-by-onnxruntime"
    made.mkdir()
    try:
        run_session(model.path, SessionOptions(graph_optimization_level=level), optimized=made / GRAPH)
        proto = load_proto(made / GRAPH)
        check_structure(proto)
    except (SessionFailed, Refused, OSError) as error:
        notes.append(f"What onnxruntime writes at level {level} is no valid model, and not used: {error}")
        shutil.rmtree(made)
        return None
    proto.producer_name, proto.producer_version = model.proto.producer_name, model.proto.producer_version
    variant = GraphVariant(level, "as-is", scratch / level)
    _write(proto, made / GRAPH, variant)
    shutil.rmtree(made)
    if variant.size > max(model.size * GROWTH, model.size + SMALL):
        notes.append(
            f"Optimising offline at level {level} makes {variant.size / 1e6:.1f} MB of {model.size / 1e6:.1f} MB, by "
            "computing constants beforehand: not used."
        )
        shutil.rmtree(variant.directory)
        return None
    return variant


def unoptimized(model: OnnxModel, directory: Path) -> GraphVariant:
    """The graph as it was given, its weights laid out as a package's."""
    variant = GraphVariant("none", "as-is", directory)
    proto = ModelProto()
    proto.CopyFrom(model.proto)
    _write(proto, model.path, variant)
    return variant


def _write(proto: ModelProto, source: Path, variant: GraphVariant) -> None:
    strip(proto)
    variant.directory.mkdir()
    write_model(proto, source, variant.path, variant.directory / DATA)


def _with_precision(
    basic: GraphVariant, scratch: Path, precision: Precision, calibration: Sequence[Feed]
) -> GraphVariant:
    made = scratch / f"{precision}-made"
    made.mkdir()
    if precision == "int8-dynamic":
        quantize_dynamic(basic.path, made / GRAPH)
    elif precision == "int8-static":
        quantize_static(basic.path, made / GRAPH, calibration)
    else:
        to_float16(basic.path, made / GRAPH)
    variant = GraphVariant(basic.optimization, precision, scratch / precision)
    converted = read_model(made / GRAPH)
    if precision.startswith("int8") and not converted.is_quantized():
        raise Refused(
            "quantize-nothing",
            "Nothing in the model can be quantised this way: it has no weights in the operators concerned.",
            "Leave --quantize out, or, for convolutions, give real inputs with --calibration FILE.npz.",
        )
    _write(converted.proto, made / GRAPH, variant)
    shutil.rmtree(made)
    return variant
