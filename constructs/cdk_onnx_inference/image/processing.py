"""A user's own pre- and post-processing, run in the function around the model."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processing:
    """A Python file with `preprocess(request)` and/or `postprocess(outputs)`, beside the model in the image.

    `preprocess(request) -> dict[str, numpy.ndarray]` makes the model's inputs out of `request.inputs` (a dict of
    arrays), `request.parameters` and `request.id`; `postprocess(outputs) -> dict[str, numpy.ndarray]` makes the
    response's outputs out of the model's. BYTES tensors are arrays of `bytes` objects. Module-level lists `INPUTS`
    and `OUTPUTS` of `{"name": ..., "datatype": ..., "shape": [...]}` replace the model's signature in the metadata
    that clients see.

    Any change to either file makes a new image and publishes a new version of the function.

    Args:
        file: The .py file. It is loaded once per execution environment, during its start.
        requirements: A pip requirements file with what `file` imports beyond numpy and the standard library. Only
            packages of an index or https URLs: what a line would take from this machine is not in the image. Default:
            nothing is added to the image.

    The construct that is given it raises `InvalidInferenceConfig` with the codes `processing-missing`,
    `processing-name`, `processing-syntax`, `processing-functions` or `processing-requirements`.
    """

    file: str | os.PathLike[str]
    requirements: str | os.PathLike[str] | None = None
