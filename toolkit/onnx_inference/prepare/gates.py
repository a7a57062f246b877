"""Refuses a package that differs from the original by too much, or is over a budget."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from .bench import Measurement
from .errors import Refused
from .graph_variants import GraphVariant
from .parity import OutputParity
from .request import Request

FP16_SLOWER = 1.05
"""FP16 is refused where a call takes this many times what it takes as given. Less may be the measurement's error."""


def check_gates(
    request: Request,
    variant: GraphVariant,
    before: Measurement,
    after: Measurement,
    parity: Sequence[OutputParity],
) -> None:
    """Lets a package pass that is as good as was asked for.

    Args:
        request: Has the budgets and the agreement that is required.
        variant: The chosen graph.
        before: The model as it was given.
        after: The package.
        parity: By output.

    Raises:
        Refused: `parity`, `fp16-slower`, `budget-size` or `budget-load`.
    """
    for output in parity:
        _check_parity(request, output)
    if request.precision == "fp16" and after.warm > before.warm * FP16_SLOWER:
        raise Refused(
            "fp16-slower",
            f"A call takes {after.warm * 1e3:.3g} ms in FP16 and {before.warm * 1e3:.3g} ms as given: this CPU "
            f"({platform.machine()}) has no FP16 kernels in onnxruntime, which computes in FP32 and converts.",
            "Leave --fp16 out, use --quantize int8, or prepare on the architecture of the function if that is another.",
        )
    if request.max_size is not None and variant.size > request.max_size:
        raise Refused(
            "budget-size",
            f"Graph and weights have {variant.size / 1e6:.2f} MB; --max-size allows {request.max_size / 1e6:.2f}.",
            "Try --quantize int8, or raise --max-size.",
        )
    if request.max_load_ms is not None and after.load * 1e3 > request.max_load_ms:
        raise Refused(
            "budget-load",
            f"Loading takes {after.load * 1e3:.1f} ms; --max-load-ms allows {request.max_load_ms:g}.",
            "Try --for cold-start, --quantize int8, or raise --max-load-ms.",
        )


def _check_parity(request: Request, output: OutputParity) -> None:
    required = request.required_agreement
    if required is not None and output.agreement < required:
        fix = (
            "Give real inputs with --goldens (made-up ones are harder), quantise with --calibration FILE.npz, accept "
            "it with --min-agreement, or leave --quantize out."
            if request.precision.startswith("int8")
            else "Accept it with --min-agreement, or leave --fp16 out."
            if request.lossy
            else "Accept it with --min-agreement."
        )
        raise Refused(
            "parity",
            f"Output {output.name!r} agrees with the original on {output.agreement:.1%} of the golden rows; "
            f"{required:.1%} are required. The largest difference is {output.largest_difference:.3g}.",
            fix,
        )
    if not request.lossy and output.within < 1.0:
        raise Refused(
            "parity",
            f"Output {output.name!r} differs from the original by up to {output.largest_difference:.3g}: "
            f"{1 - output.within:.2%} of the values are out of tolerance (rtol {output.rtol:g}, "
            f"atol {output.atol:.3g}).",
            "If that is good enough, say so with --rtol and --atol. If the model draws random numbers, fix their seed "
            "in the export.",
        )
