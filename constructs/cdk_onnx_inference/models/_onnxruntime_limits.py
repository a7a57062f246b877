"""The newest model formats that the onnxruntime in the image can load.

The numbers were found by loading models of each version. Tests do the same with the release that
`runtime/requirements.txt` pins: they fail when the pin changes and these numbers do not, or the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ONNXRUNTIME: Final = "1.31.1"
"""The release that the numbers belong to."""

MAX_IR_VERSION: Final = 13
"""Newest `ModelProto.ir_version`; above it onnxruntime says "Unsupported model IR version"."""

MAX_OPSETS: Final[Mapping[str, int]] = {"": 26, "ai.onnx.ml": 5, "com.microsoft": 1}
"""Newest released operator set by domain; "" is the standard domain. Others are custom operators, not checked."""
