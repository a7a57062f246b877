"""The user's own processing: a Python file with `preprocess`, `postprocess`, or both.

    def preprocess(request):        # request.inputs: {name: array}, request.parameters, request.id
        return {"ngrams": ...}      # the model's inputs

    def postprocess(outputs):       # {name: array}, the model's outputs
        return {"label": ...}       # what the client gets

    INPUTS = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]      # what the client sends; default: the model's
    OUTPUTS = [{"name": "label", "datatype": "BYTES", "shape": [-1]}]    # what the client gets; default: the model's

    def before_snapshot(): ...      # with SnapStart: close connections, forget credentials
    def after_restore(): ...        # with SnapStart, in each environment: connect, seed random generators of your own

A BYTES tensor is an object array of `bytes`. A ValueError from `preprocess` is the client's mistake (400); every other
exception is an error of the file (500).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx_handler.errors import ModelUnusable
from onnx_handler.tensors.codecs import Array
from onnx_handler.tensors.signature import TensorSpec, declared

Tensors = dict[str, Array]


class ProcessingRequest:
    """The argument of `preprocess`."""

    __slots__ = ("id", "inputs", "parameters")

    def __init__(self, inputs: Tensors, parameters: dict[str, Any], id: str | None) -> None:
        self.inputs = inputs
        self.parameters = parameters
        self.id = id


class Processing:
    """What the file defines; None for what it does not define."""

    __slots__ = ("after_restore", "before_snapshot", "inputs", "outputs", "postprocess", "preprocess")

    def __init__(
        self,
        preprocess: Callable[[ProcessingRequest], Tensors] | None = None,
        postprocess: Callable[[Tensors], Tensors] | None = None,
        inputs: tuple[TensorSpec, ...] | None = None,
        outputs: tuple[TensorSpec, ...] | None = None,
        before_snapshot: Callable[[], object] | None = None,
        after_restore: Callable[[], object] | None = None,
    ) -> None:
        self.preprocess = preprocess
        self.postprocess = postprocess
        self.inputs = inputs
        self.outputs = outputs
        self.before_snapshot = before_snapshot
        self.after_restore = after_restore

    @classmethod
    def load(cls, path: str | None) -> Processing:
        """Runs the file once, and takes what it defines; without a file, all is None.

        Raises:
            ModelUnusable: it is missing, raises, defines neither preprocess nor postprocess, or something in it is
                wrong.
        """
        if path is None:
            return cls()
        from importlib.util import module_from_spec, spec_from_file_location

        spec = spec_from_file_location("onnx_handler_processing", path)
        if spec is None or spec.loader is None:
            raise ModelUnusable(f"the processing file {path!r} is not a Python file")
        module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise ModelUnusable(
                f"the processing file {path!r} raised {type(error).__name__} when it was loaded: {error}"
            ) from error
        preprocess = getattr(module, "preprocess", None)
        postprocess = getattr(module, "postprocess", None)
        if preprocess is None and postprocess is None:
            raise ModelUnusable(f"the processing file {path!r} defines neither preprocess nor postprocess")
        hooks = {name: getattr(module, name, None) for name in ("before_snapshot", "after_restore")}
        for name, hook in hooks.items():
            if hook is not None and not callable(hook):
                raise ModelUnusable(f"{name} of the processing file {path!r} is a {type(hook).__name__}, no function")
        inputs = getattr(module, "INPUTS", None)
        outputs = getattr(module, "OUTPUTS", None)
        return cls(
            preprocess,
            postprocess,
            declared("INPUTS", inputs) if inputs is not None else None,
            declared("OUTPUTS", outputs) if outputs is not None else None,
            **hooks,
        )
