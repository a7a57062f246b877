"""One model: load, then preprocess -> validate -> predict -> postprocess, each phase timed."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import numpy as np
from onnxruntime import OrtValue

from onnx_handler.errors import InferenceError, InvalidInput, ModelFailed, ModelUnusable
from onnx_handler.settings import Settings
from onnx_handler.tensors.codecs import Array, narrowed, widened
from onnx_handler.tensors.signature import TensorSpec, conflicting_axis, from_session

from .processing import Processing, ProcessingRequest, Tensors
from .session import open_session

BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


class Model:
    """A loaded model and its signature.

    Attributes:
        name: its name in the protocol.
        version: its version in the protocol.
        inputs: what a client sends.
        outputs: what a client gets.
        model_inputs: what the model itself takes, after the processing file.
        processing: the processing file.
        path: its package directory, or its .onnx file.
        output_datatypes: of `outputs`, by name. The arrays do not show BF16, which is float32 in numpy.
        is_batchable: requests may be concatenated, as far as the signature shows: every tensor has a first dimension
            of any size, and in all inputs it is the same one.
        load_time: how long loading took, in milliseconds.
    """

    def __init__(self, settings: Settings) -> None:
        """Loads the processing file and the session.

        Raises:
            ModelUnusable: one of them cannot be served; the text says why.
        """
        started = perf_counter_ns()
        self.name = settings.model_name
        self.version = settings.model_version
        self.path = settings.model_path
        self.processing = processing = Processing.load(settings.processing_path)
        self._session = open_session(settings.model_path, settings.memory_size)
        self.model_inputs = from_session(self._session.get_inputs(), declared=False)
        self._model_outputs = from_session(self._session.get_outputs(), declared=processing.outputs is not None)
        self._inputs_by_name = {spec.name: spec for spec in self.model_inputs}
        self.inputs = processing.inputs or self.model_inputs
        self.outputs = processing.outputs or self._model_outputs
        self.output_datatypes = {spec.name: spec.datatype for spec in self.outputs}
        self._output_names = [spec.name for spec in self._model_outputs]
        self._has_strings = any(spec.datatype == "BYTES" for spec in (*self.model_inputs, *self._model_outputs))
        self._has_bfloat16 = any(spec.datatype == "BF16" for spec in (*self.model_inputs, *self._model_outputs))
        if self._has_bfloat16 and any(spec.datatype == "BYTES" for spec in self.model_inputs):
            raise ModelUnusable(
                "the model has BF16 tensors and string inputs, which onnxruntime's Python API cannot mix"
            )
        self.is_batchable = _is_batchable(self.model_inputs, self._model_outputs)
        self.load_time = (perf_counter_ns() - started) / 1e6

    def run(self, inputs: Tensors) -> Tensors:
        """Runs the model without its processing file, and returns all outputs.

        Args:
            inputs: of the model, by name.

        Raises:
            InvalidInput: the tensors do not fit the model.
            ModelFailed: the model failed.
        """
        self._validate(inputs, [])
        return self.predict(inputs, self._output_names)

    def infer(self, request: ProcessingRequest, wanted: list[str], phases: dict[str, float]) -> Tensors:
        """Answers one request.

        Args:
            request: the tensors as the client sent them.
            wanted: names of outputs, in the order of the answer; empty for all.
            phases: receives each phase's time in milliseconds.

        Raises:
            InvalidInput: the tensors do not fit the model.
            ModelFailed: the model or the processing file failed.
        """
        start = perf_counter_ns()
        feeds = self._preprocess(request)
        preprocessed = perf_counter_ns()
        names = self._validate(feeds, wanted)
        validated = perf_counter_ns()
        outputs = self.predict(feeds, names)
        predicted = perf_counter_ns()
        outputs = self.postprocess(outputs, wanted)
        phases["Preprocess"] = (preprocessed - start) / 1e6
        phases["Validate"] = (validated - preprocessed) / 1e6
        phases["Predict"] = (predicted - validated) / 1e6
        phases["Postprocess"] = (perf_counter_ns() - predicted) / 1e6
        return outputs

    def prepare(self, request: ProcessingRequest, wanted: list[str]) -> tuple[Tensors, list[str]]:
        """The arguments of `predict` for one request: the model's inputs, and the names of the outputs to compute.

        Raises:
            InvalidInput: the tensors do not fit the model.
            ModelFailed: the processing file failed.
        """
        feeds = self._preprocess(request)
        return feeds, self._validate(feeds, wanted)

    def _preprocess(self, request: ProcessingRequest) -> Tensors:
        preprocess = self.processing.preprocess
        if preprocess is None:
            return request.inputs
        try:
            feeds = preprocess(request)
        except InferenceError:
            raise
        except ValueError as error:
            raise InvalidInput(f"preprocess: {error}") from error
        except Exception as error:
            raise ModelFailed(f"preprocess raised {type(error).__name__}: {error}") from error
        if not isinstance(feeds, dict):
            raise ModelFailed(
                f"preprocess returned a {type(feeds).__name__}; a dict of arrays by input name is expected"
            )
        return {name: np.asarray(array) for name, array in feeds.items()}

    def _validate(self, feeds: Tensors, wanted: list[str]) -> list[str]:
        specs = self._inputs_by_name
        if feeds.keys() != specs.keys():
            unknown, missing = sorted(feeds.keys() - specs.keys()), sorted(specs.keys() - feeds.keys())
            raise InvalidInput(
                "; ".join(
                    [f"input {name!r} is not one of the model's: {sorted(specs)}" for name in unknown[:3]]
                    + [f"input {name!r} is missing" for name in missing]
                )
            )
        for name, array in feeds.items():
            specs[name].check(array)
        if self.processing.postprocess:
            return self._output_names
        self._check_wanted(wanted, self._output_names)
        return wanted or self._output_names

    @staticmethod
    def _check_wanted(wanted: list[str], available: list[str]) -> None:
        for name in wanted:
            if name not in available:
                raise InvalidInput(f"output {name!r} is not one of the model's: {available}")

    def predict(self, feeds: Tensors, names: list[str]) -> Tensors:
        """Runs the model.

        Raises:
            InvalidInput: onnxruntime says that the inputs are wrong.
            ModelFailed: onnxruntime fails for another reason.
        """
        try:
            if self._has_bfloat16:
                results = self._run_with_bfloat16(feeds, names)
            else:
                if self._has_strings:
                    feeds = {name: _as_str(name, array) for name, array in feeds.items()}
                results = self._session.run(names, feeds)
        except InferenceError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            message = str(error)
            if conflict := conflicting_axis(self.model_inputs, feeds):
                raise InvalidInput(conflict) from error
            if "INVALID_ARGUMENT" in message:
                raise InvalidInput(message) from error
            raise ModelFailed(f"the model failed: {message}") from error
        if self._has_strings:
            results = [_as_bytes(array) for array in results]
        return dict(zip(names, results, strict=True))

    def _run_with_bfloat16(self, feeds: Tensors, names: list[str]) -> list[Array]:
        """Uses OrtValue, because session.run takes and returns only numpy arrays, and numpy has no bfloat16."""
        values = {}
        for name, array in feeds.items():
            if self._inputs_by_name[name].datatype == "BF16":
                values[name] = OrtValue.ortvalue_from_numpy_with_onnx_type(narrowed(array), BFLOAT16)
            else:
                values[name] = OrtValue.ortvalue_from_numpy(np.require(array, requirements="C"))
        return [_to_numpy(value) for value in self._session.run_with_ort_values(names, values)]

    def postprocess(self, outputs: Tensors, wanted: list[str]) -> Tensors:
        """The outputs that the client gets.

        Args:
            outputs: of the model, for one request.
            wanted: names that the client asked for; empty for all.

        Raises:
            InvalidInput: the processing file returns no output of a name that was asked for.
            ModelFailed: the processing file failed.
        """
        postprocess = self.processing.postprocess
        if postprocess is None:
            return outputs
        try:
            outputs = postprocess(outputs)
        except Exception as error:
            raise ModelFailed(f"postprocess raised {type(error).__name__}: {error}") from error
        if not isinstance(outputs, dict):
            raise ModelFailed(f"postprocess returned a {type(outputs).__name__}; a dict of arrays by name is expected")
        for name in outputs:
            if not isinstance(name, str):
                raise ModelFailed(f"postprocess returned {name!r:.40} for an output's name; a string is expected")
        outputs = {name: np.asarray(array) for name, array in outputs.items()}
        self._check_wanted(wanted, list(outputs))
        return {name: outputs[name] for name in wanted} if wanted else outputs

    def metadata(self) -> dict[str, Any]:
        """The protocol's model metadata."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "onnxruntime_onnx",
            "inputs": [spec.metadata() for spec in self.inputs],
            "outputs": [spec.metadata() for spec in self.outputs],
        }


def _is_batchable(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> bool:
    if not inputs or any(spec.shape[:1] != (-1,) for spec in (*inputs, *outputs)):
        return False
    return len({spec.axes[0] for spec in inputs if spec.axes[0]}) <= 1


def _as_str(name: str, array: Array) -> Array:
    """Strings as onnxruntime takes them: it would convert bytes to their Python repr."""
    if array.dtype.kind != "O":
        return array
    decoded = np.empty(array.size, dtype=object)
    try:
        decoded[:] = [value if isinstance(value, str) else value.decode() for value in array.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"input {name!r}: a BYTES element is not UTF-8, which the model's strings are: {error}"
        ) from None
    return decoded.reshape(array.shape)


def _as_bytes(array: Any) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "O":
        return array
    encoded = np.empty(array.size, dtype=object)
    encoded[:] = [value.encode("utf-8", "surrogatepass") for value in array.ravel().tolist()]
    return encoded.reshape(array.shape)


def _to_numpy(value: Any) -> Array:
    if value.element_type() != BFLOAT16:
        array: Array = value.numpy()
        return array
    import ctypes

    shape = value.shape()
    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    return widened(np.frombuffer(raw, np.uint16)).reshape(shape)
