"""The ONNX project's own backend models: what the handler answers is what onnxruntime gives, bit for bit.

Nothing of the handler's codecs is used here: requests are written and answers are read by this file's own few lines.
A model that cannot be served, and a case that cannot be compared whole, is counted under a reason, and both the
reasons and their counts are held.
"""

from __future__ import annotations

import ctypes
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.test import loader

from onnx_handler.http import Handler
from tests.runtime.conftest import CONTEXT
from tests.support import events

Array = np.ndarray[Any, Any]

# The protocol's own table: what onnxruntime calls a type, its datatype, and its elements in memory.
TYPES: dict[str, tuple[str, Any]] = {
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(uint16)": ("UINT16", np.uint16),
    "tensor(uint32)": ("UINT32", np.uint32),
    "tensor(uint64)": ("UINT64", np.uint64),
    "tensor(int8)": ("INT8", np.int8),
    "tensor(int16)": ("INT16", np.int16),
    "tensor(int32)": ("INT32", np.int32),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(float16)": ("FP16", np.float16),
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(bfloat16)": ("BF16", ml_dtypes.bfloat16),
    "tensor(string)": ("BYTES", object),
}
BFLOAT16 = onnx.TensorProto.BFLOAT16
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}

LAMBDA_LIMIT = 6 * 1024 * 1024

IDENTICAL = "identical in JSON and binary"
# How many cases of each kind are answered as onnxruntime answers them, at the least.
LEAST = {"node": 1390, "simple": 17, "pytorch-converted": 58, "pytorch-operator": 24, "light": 9}
# Why another case is not; docs/conformance.md has the numbers.
REASONS = {
    "identical in binary; as JSON more than Lambda carries",
    "alike but for the values: the operator is random",
    "an error in both: onnxruntime refuses the suite's own input",
    "not served: an operator set newer than onnxruntime's",
    "not served: an operator that onnxruntime does not know",
    "not served: onnxruntime has no kernel for it",
    "not served: onnxruntime has no batchwise recurrent layout",
    "not served: onnxruntime finds the graph invalid",
    "not served: the machine lacks the model's locale",
    "not served: 8-bit floats",
    "not served: 4-bit numbers or smaller",
    "not served: a sequence",
    "not served: an optional value",
}


class Case(NamedTuple):
    name: str
    model: bytes
    data_sets: list[list[Array]]
    operators: set[str]


class Tally:
    """How many cases came to what, in words that the documentation repeats."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def __str__(self) -> str:
        return "\n".join(f"  {count:5} {reason}" for reason, count in self.counts.most_common())


def arrays(tensors: list[Any]) -> list[Any]:
    return [onnx.numpy_helper.to_array(one) if isinstance(one, onnx.TensorProto) else one for one in tensors]


def operators(model: onnx.ModelProto) -> set[str]:
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return {node.op_type for node in nodes}


def on_disk(path: Path) -> Iterator[list[Any]]:
    for directory in sorted(path.glob("test_data_set_*")):
        files = sorted(directory.glob("input_*.pb"), key=lambda file: int(file.stem.split("_")[1]))
        tensors = []
        for file in files:
            tensor = onnx.TensorProto()
            try:
                tensor.ParseFromString(file.read_bytes())
                tensors.append(onnx.numpy_helper.to_array(tensor))
            except Exception:  # a sequence or an optional value: of no datatype, so it is never sent
                tensors.append(None)
        yield tensors


def cases(kind: str) -> Iterator[Case]:
    if kind == "light":
        for file in sorted((Path(loader.DATA_DIR) / "light").glob("*.onnx")):
            model = onnx.load(file)
            weights = {tensor.name for tensor in model.graph.initializer}
            feeds = []
            for value in model.graph.input:
                if value.name not in weights:
                    shape = [dimension.dim_value or 1 for dimension in value.type.tensor_type.shape.dim]
                    feeds.append((np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32))
            yield Case(file.stem, file.read_bytes(), [feeds], operators(model))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero on purpose
        tests = loader.load_model_tests(kind=kind)
    for test in tests:
        if test.model_dir is None:
            data_sets = [arrays(inputs) for inputs, _ in test.data_sets]
            yield Case(test.name, test.model.SerializeToString(), data_sets, operators(test.model))
        else:
            path = Path(test.model_dir)
            model = (path / "model.onnx").read_bytes()
            yield Case(test.name, model, list(on_disk(path)), operators(onnx.load_from_string(model)))


def directly(session: Any, feeds: dict[str, Array]) -> dict[str, Array]:
    """onnxruntime's own answer, by its Python API alone."""
    names = [output.name for output in session.get_outputs()]
    types = {argument.name: argument.type for argument in (*session.get_inputs(), *session.get_outputs())}
    if "tensor(bfloat16)" not in types.values():
        return dict(zip(names, map(np.asarray, session.run(names, feeds)), strict=True))
    values = {}
    for name, array in feeds.items():
        if array.dtype == ml_dtypes.bfloat16:
            bits = np.ascontiguousarray(array).view(np.uint16).reshape(array.shape)
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, BFLOAT16)
        else:
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    results = {}
    for name, value in zip(names, session.run_with_ort_values(names, values), strict=True):
        if value.element_type() == BFLOAT16:
            raw = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()) if np.prod(value.shape()) else b""
            results[name] = np.frombuffer(raw, ml_dtypes.bfloat16).reshape(value.shape())
        else:
            results[name] = value.numpy()
    return results


def raw(array: Array) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    encoded = [value.encode() if isinstance(value, str) else value for value in array.ravel()]
    return b"".join(len(value).to_bytes(4, "little") + value for value in encoded)


def values(array: Array) -> list[Any]:
    if array.dtype == object:
        return [value if isinstance(value, str) else value.decode() for value in array.ravel()]
    flat: list[Any] = (array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array).ravel().tolist()
    return flat


def request(feeds: dict[str, tuple[str, Array]], binary: bool) -> tuple[dict[str, str], bytes]:
    tensors, tail = [], []
    for name, (datatype, array) in feeds.items():
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if binary:
            tail.append(raw(array))
            tensor["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = values(array)
        tensors.append(tensor)
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": binary}}).encode()
    return ({"Inference-Header-Content-Length": str(len(head))} if binary else {}), b"".join([head, *tail])


def differences(answer: dict[str, Any], expected: dict[str, Array], types: dict[str, str], binary: bool) -> list[str]:
    """What of an answer is not as onnxruntime gave it; empty when all of it is."""
    status, headers, body = events.answered(answer)
    if status != 200:
        return [f"{status}: {body[:300]!r}"]
    position = int(headers["inference-header-content-length"]) if binary else len(body)
    outputs = json.loads(body[:position])["outputs"]
    if [output["name"] for output in outputs] != list(expected):
        return [f"outputs {[output['name'] for output in outputs]}"]
    wrong = []
    for output in outputs:
        name, array = output["name"], expected[output["name"]]
        datatype, numpy_type = TYPES[types[name]]
        if (output["datatype"], output["shape"]) != (datatype, list(array.shape)):
            wrong.append(f"{name}: {output['datatype']} {output['shape']}; {datatype} {array.shape} is expected")
            continue
        if binary:
            size = output["parameters"]["binary_data_size"]
            same = body[position : position + size] == raw(array)
            if not same and datatype == "BF16":  # of a NaN the payload may differ
                same = identical(np.frombuffer(body[position : position + size], numpy_type), array)
            position += size
        elif datatype == "BYTES":
            same = output["data"] == values(array)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a cast that warns would have changed a value
                # As a client reads it: into the type that the answer names. numpy has none for BF16, which is exact.
                same = identical(np.array(output["data"], np.float64 if array.dtype.kind == "V" else numpy_type), array)
        if not same:
            wrong.append(f"{name}: values differ ({'binary' if binary else 'JSON'})")
    if binary and position != len(body):
        wrong.append("bytes are left over")
    return wrong


def past_lambda(body: bytes, expected: dict[str, Array]) -> bool:
    """Whether the request or the answer is more JSON than Lambda carries."""
    answer = sum(len(json.dumps(values(array), separators=(",", ":"))) for array in expected.values())
    return len(body) > LAMBDA_LIMIT or answer > LAMBDA_LIMIT - 4096


def identical(got: Array, array: Array) -> bool:
    """Equal to the bit, signs of zeros included; NaN where there is NaN."""
    flat = array.ravel()
    if array.dtype.kind not in "fV":
        return bool(np.array_equal(got, flat))
    got, flat = got.astype(np.float64), flat.astype(np.float64)
    nan = np.isnan(flat)
    return bool(
        got.shape == flat.shape
        and np.array_equal(np.isnan(got), nan)
        and np.array_equal(got[~nan].view(np.uint64), flat[~nan].view(np.uint64))
    )


def why_not_loaded(cause: str) -> str:
    if "NOT_IMPLEMENTED" in cause:
        return "not served: onnxruntime has no kernel for it"
    if "under development" in cause or "official support" in cause or "Unsupported model IR" in cause:
        return "not served: an operator set newer than onnxruntime's"
    if re.search(r"not a registered function/op|No Op registered|No opset import", cause):
        return "not served: an operator that onnxruntime does not know"
    if "Type Error" in cause or "INVALID_GRAPH" in cause:
        return "not served: onnxruntime finds the graph invalid"
    if "Batchwise recurrent operations" in cause:
        return "not served: onnxruntime has no batchwise recurrent layout"
    if "Failed to construct locale" in cause:
        return "not served: the machine lacks the model's locale"
    return f"not served: {cause}"


def kind_of(unserved: str) -> str:
    for start, reason in (
        ("seq(", "a sequence"),
        ("optional(", "an optional value"),
        ("sparse", "a sparse tensor"),
        ("map(", "a map"),
        ("tensor(complex", "complex numbers"),
        ("tensor(float8", "8-bit floats"),
    ):
        if unserved.startswith(start):
            return reason
    return "4-bit numbers or smaller" if re.match(r"tensor\((u?int[24]|float4)", unserved) else unserved


class Checker:
    """Puts one case after another through onnxruntime and through the handler."""

    def __init__(self, directory: Path, environment: pytest.MonkeyPatch) -> None:
        self.tally = Tally()
        self._file = directory / "model.onnx"
        environment.setenv("MODEL_PATH", str(self._file))
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = self._options.inter_op_num_threads = 1
        self._options.log_severity_level = 4

    def check(self, case: Case) -> None:
        self._file.write_bytes(case.model)
        handler = Handler()
        ready = handler.handle(events.http_api("GET", "/v2/models/model/ready", {}, b""), CONTEXT)
        cause = json.loads(ready["body"]).get("error", "")
        try:
            session = onnxruntime.InferenceSession(case.model, self._options, providers=["CPUExecutionProvider"])
        except Exception as error:
            return self._unserved(case, why_not_loaded(str(error)), ready, cause, "cannot load")
        arguments = [*session.get_inputs(), *session.get_outputs()]
        unserved = [argument.type for argument in arguments if argument.type not in TYPES]
        if unserved:
            return self._unserved(case, f"not served: {kind_of(unserved[0])}", ready, cause, unserved[0])
        if ready["statusCode"] != 200:
            return self._fail(case, f"not ready: {cause}")
        for inputs in case.data_sets:
            self._compare(case, handler, session, inputs)
        return None

    def _compare(self, case: Case, handler: Handler, session: Any, inputs: list[Any]) -> None:
        wanted = session.get_inputs()
        types = {argument.name: argument.type for argument in (*wanted, *session.get_outputs())}
        given = [np.asarray(one) for one in inputs]
        feeds = {argument.name: array for argument, array in zip(wanted, given, strict=True)}
        try:
            expected = directly(session, feeds)
        except Exception as error:
            expected, cause = {}, str(error)
        typed = {name: (TYPES[types[name]][0], array) for name, array in feeds.items()}
        too_large = False
        random = bool(case.operators & RANDOM) or "training_dropout" in case.name
        for binary in (False, True):
            headers, body = request(typed, binary)
            answer = handler.handle(events.http_api("POST", "/v2/models/model/infer", headers, body), CONTEXT)
            if not expected:
                if answer["statusCode"] not in (400, 500) or not json.loads(answer["body"])["error"]:
                    self._fail(case, f"onnxruntime: {cause}; the handler: {answer}")
            elif answer["statusCode"] == 413 and not binary and past_lambda(body, expected):
                too_large = True
            elif wrong := differences(answer, expected, types, binary):
                if random and all("values differ" in one for one in wrong):
                    continue
                self._fail(case, "; ".join(wrong))
        if not expected:
            self.tally.counts["an error in both: onnxruntime refuses the suite's own input"] += 1
        elif random:
            self.tally.counts["alike but for the values: the operator is random"] += 1
        elif too_large:
            self.tally.counts["identical in binary; as JSON more than Lambda carries"] += 1
        else:
            self.tally.counts[IDENTICAL] += 1

    def _unserved(self, case: Case, reason: str, ready: dict[str, Any], cause: str, says: str) -> None:
        self.tally.counts[reason] += 1
        if ready["statusCode"] != 503 or says not in cause:
            self._fail(case, f"{reason}; the handler: {ready['statusCode']} {cause}")

    def _fail(self, case: Case, what: str) -> None:
        self.tally.failures.append(f"{case.name}: {what}")


@pytest.mark.parametrize("kind", LEAST)
def test_answers_are_onnxruntimes_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    caplog.set_level("CRITICAL", "onnx_handler")
    checker = Checker(tmp_path, monkeypatch)
    for case in cases(kind):
        checker.check(case)
    with capsys.disabled():
        print(f"\n{kind}: {checker.tally.counts.total()} cases\n{checker.tally}")
    assert not checker.tally.failures, "\n".join(checker.tally.failures[:20])
    assert checker.tally.counts[IDENTICAL] >= LEAST[kind]
    assert checker.tally.counts.keys() <= REASONS | {IDENTICAL}
