"""One file of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A file of a model, as a manifest lists it: what is needed at synth to check the file after a download.

    Args:
        path: Path below the model's directory, with `/` as separator. The graph is `model.onnx`. Files with weights
            have the names by which the graph refers to them.
        size: Bytes.
        sha256: SHA-256 digest of the content: 64 lower-case hexadecimal digits, as `sha256sum` prints them.
    """

    path: str
    size: int
    sha256: str
