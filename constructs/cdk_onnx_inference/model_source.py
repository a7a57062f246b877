"""Where the model of an inference function comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Names a model and says where the function finds it. Make one with `ModelSource.in_image`.

    Nothing is read here: the construct that is given the source reads it, and reports what is wrong with it together
    with everything else.

    Attributes:
        path: The .onnx file or the package directory on the machine that synthesises.
        name: The model's name in the Open Inference Protocol, or None for the path's own name.
        version: The model's version in the Open Inference Protocol.
    """

    path: str
    name: str | None
    version: str

    @classmethod
    def in_image(cls, path: str | os.PathLike[str], *, name: str | None = None, version: str = "1") -> ModelSource:
        """The model is copied into the container image, and is on the function's disk from the first moment.

        Right for models up to a few gigabytes (a Lambda image holds 10 GB): no network, no permissions and no other
        service between a cold start and its model.

        Args:
            path: A bare .onnx file, or a package directory: one that has `model.onnx` and, beside it, the files with
                its weights, `manifest.json` and `goldens/`. Weights that the graph keeps in other files are found
                through the graph; they must be in the same directory or below. Nothing else of the directory is
                copied. A relative path is relative to the current directory: prefer `Path(__file__).parent / ...` in
                an app. A change of the model's content makes a new image and publishes a new version of the function.
            name: Name in the protocol's paths, `/v2/models/{name}/infer`: letters, digits, `_`, `.` and `-`, at most
                64, a letter or digit first. A change publishes a new version. Default: the name of the file without
                `.onnx`, or that of the directory when `path` is one or the file is called `model.onnx`.
            version: A decimal number, as a string, in the protocol's `/v2/models/{name}/versions/{version}`. A change
                publishes a new version. Default: `"1"`.

        Returns:
            The source, for `InferenceFunction(model=...)`, which raises `InvalidInferenceConfig` with the codes
            `model-missing`, `model-not-onnx`, `model-git-lfs-pointer`, `model-weights-missing`,
            `model-weights-outside`, `model-weights-cut-off`, `model-file-collision`, `model-ir-version`,
            `model-opset`, `model-too-large`, `model-name` or `model-version`.
        """
        return cls(path=os.fspath(path), name=name, version=version)
