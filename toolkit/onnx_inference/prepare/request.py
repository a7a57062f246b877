"""What to prepare, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .graph_variants import Precision
from .onnx_model import GRAPH
from .search import Objective

LOSSY_MIN_AGREEMENT = 0.95
"""Share of the goldens on which a quantised or FP16 model must agree, unless the user says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to prepare, and how.

    Attributes:
        model: The .onnx file, or a directory that has `model.onnx`.
        output: The package to make.
        name: The model's name in the protocol. Default: the file's, or the directory's for `model.onnx`.
        version: The model's version in the protocol.
        objective: What to choose the graph and the session options by.
        precision: `as-is`, or the lower precision to convert to.
        calibration: .npz file with inputs, for `int8-static`.
        goldens: .npz file with inputs, and with expected outputs if they are known. Default: made-up inputs.
        seed: Of made-up samples.
        dims: Sizes of open dimensions of made-up samples.
        rtol: Relative tolerance. Default: by datatype.
        atol: Absolute tolerance. Default: by datatype.
        max_load_ms: Refuse a package that takes longer to load. Default: no limit.
        max_size: Refuse a package whose graph and weights have more bytes. Default: no limit.
        min_agreement: Refuse a package that agrees with the original on less, 0 to 1. Default: 0.95 for quantised and
            FP16 models; for others only the tolerances count.
        memory_size: Memory of the function in MB. The number of threads to measure with follows from it.
        rounds: How many processes each candidate is measured in.
        force: Whether to replace a package that is there.
    """

    model: Path
    output: Path
    name: str | None = None
    version: str = "1"
    objective: Objective = "balanced"
    precision: Precision = "as-is"
    calibration: Path | None = None
    goldens: Path | None = None
    seed: int = 0
    dims: Mapping[str, int] = field(default_factory=dict)
    rtol: float | None = None
    atol: float | None = None
    max_load_ms: float | None = None
    max_size: int | None = None
    min_agreement: float | None = None
    memory_size: int = 1769
    rounds: int = 5
    force: bool = False

    @property
    def lossy(self) -> bool:
        """Whether outputs are expected to differ."""
        return self.precision != "as-is"

    @property
    def required_agreement(self) -> float | None:
        """The least agreement that passes; None where only the tolerances count."""
        if self.min_agreement is None and self.lossy:
            return LOSSY_MIN_AGREEMENT
        return self.min_agreement


def default_name(model: Path) -> str:
    """The name of the file, or of the directory if the file is `model.onnx`, in the characters that names may have."""
    path = model.absolute()
    stem = path.name if path.is_dir() else path.parent.name if path.name == GRAPH else path.stem
    return re.sub("^[^A-Za-z0-9]+", "", re.sub("[^A-Za-z0-9_.-]", "-", stem))[:64] or "model"
