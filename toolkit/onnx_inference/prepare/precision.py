"""Lower precision: 8-bit integers by onnxruntime's quantiser, FP16 by its converter."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto

from .errors import Refused
from .samples import Feed
from .traversal import names_in_use

# Operators whose 8-bit kernels work on inputs that are quantised on the way. Not Conv: its dynamic kernel is slower
# than FP32; convolutions want static quantisation.
DYNAMIC_OPERATORS = ["MatMul", "Gemm", "Attention", "LSTM", "EmbedLayerNormalization", "Gather"]


def quantize_dynamic(source: Path, target: Path) -> None:
    """8-bit weights; inputs of operators are quantised at each call.

    Weights have 7 of the 8 bits (`reduce_range`): CPUs with AVX2 or AVX-512 but without VNNI add two products in 16
    bits, which saturates with 8. Lambda has such CPUs, and the one at hand may not be one, so a check here would not
    see it.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as quantize

    with _quiet():
        quantize(
            source,
            target,
            op_types_to_quantize=DYNAMIC_OPERATORS,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )


def quantize_static(source: Path, target: Path, samples: Sequence[Feed]) -> None:
    """8-bit weights and activations, whose ranges are those that the samples show.

    Args:
        source: The graph.
        target: Where to write the quantised one.
        samples: Real inputs.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples = iter(samples)

        def get_next(self) -> Feed | None:
            return next(self._samples, None)

    with _quiet():
        quantize(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )


def to_float16(source: Path, target: Path) -> None:
    """FP16 weights and operators; inputs and outputs stay as they are.

    Raises:
        Refused: `fp16-too-large`: the converter needs the model in one protobuf message.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    size = sum(file.stat().st_size for file in source.parent.iterdir())
    if size >= 2**31:
        raise Refused(
            "fp16-too-large",
            f"The model has {size / 1000**3:.1f} GB; onnxruntime's FP16 converter takes less than 2.",
            "Export it in FP16 with its framework, or use --quantize int8.",
        )
    with _quiet():
        converted = convert_float_to_float16(onnx.load_model(source), keep_io_types=True)
    _sort(converted.graph)
    onnx.save_model(converted, target, save_as_external_data=True, location=f"{target.name}.data")


def _sort(graph: GraphProto) -> None:
    """Puts producers before consumers: the converter appends its casts at the end, and the ONNX checker objects."""
    missing = {name for node in graph.node for name in node.output}
    waiting = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    graph.ClearField("node")
    while waiting:
        later = []
        for node in waiting:
            if missing.isdisjoint(names_in_use([node])):
                graph.node.append(node)
                missing.difference_update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):  # a cycle, or a name of a subgraph's own that is also one outside
            graph.node.extend(later)
            return
        waiting = later


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises, on the root logger, what is done already."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
