"""One file of a model that is not on the machine that synthesises."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A file of a model, as its manifest would list it: what must be known at synth to check it at its destination.

    Args:
        path: Name below the model's own directory, with `/` between its parts. The graph is `model.onnx`; its weights
            have the names that the graph has for them.
        size: Bytes.
        sha256: Of the content, 64 lower-case hexadecimal digits, as `sha256sum` prints it.
    """

    path: str
    size: int
    sha256: str
