"""The newest model formats that the onnxruntime in the image can load.

Found by loading models of each version into the release below; tests repeat that with the release that
`runtime/requirements.txt` pins, so raising the pin without raising these numbers (or the reverse) fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ONNXRUNTIME: Final = "1.31.1"
"""The release that the numbers are from."""

MAX_IR_VERSION: Final = 13
"""Newest `ModelProto.ir_version`; above it onnxruntime says "Unsupported model IR version"."""

MAX_OPSETS: Final[Mapping[str, int]] = {"": 26, "ai.onnx.ml": 5, "com.microsoft": 1}
"""Newest released operator set by domain ("" is the standard one). Other domains are custom operators: not judged."""

PYTHON: Final = (3, 13)
"""Python of the image's base, for which the user's processing file is written."""
