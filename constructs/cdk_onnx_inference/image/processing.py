"""The user's own pre- and post-processing, which runs in the function before and after the model."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processing:
    """A Python file with `preprocess(request)`, `postprocess(outputs)`, or both. It goes into the image with the model.

    `preprocess(request) -> dict[str, numpy.ndarray]` returns the model's inputs, made from `request.inputs` (a dict of
    arrays), `request.parameters` and `request.id`. `postprocess(outputs) -> dict[str, numpy.ndarray]` returns the
    outputs of the response, made from the model's outputs. BYTES tensors are arrays of `bytes` objects. Module-level
    lists `INPUTS` and `OUTPUTS` of `{"name": ..., "datatype": ..., "shape": [...]}` replace the model's signature in
    the metadata that clients see.

    A change to either file makes a new image and publishes a new version of the function.

    Args:
        file: The .py file. Each execution environment loads it once, when it starts.
        requirements: A pip requirements file with the packages that `file` imports beyond numpy and the standard
            library. They must come from a package index or from https URLs, because the image has no files of this
            machine. Default: no packages.

    The construct that is given it raises `InvalidInferenceConfig` with the codes `processing-missing`,
    `processing-name`, `processing-syntax`, `processing-functions` or `processing-requirements`.
    """

    file: str | os.PathLike[str]
    requirements: str | os.PathLike[str] | None = None
