"""One onnxruntime session in a process of its own. session_process.py starts this file as a script.

In a process of its own, load time and memory can be measured, and a crash of onnxruntime ends only that process. The
script reads one request, a JSON object, from standard input and writes one answer to standard output. It imports
nothing of the package, because a script has none.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

Array: TypeAlias = npt.NDArray[Any]

BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16
LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
WARM_RUNS = (3, 100)  # at least, at most


def read_arrays(path: Path) -> dict[str, Array]:
    """Reads an .npz file; strings come back as object arrays of `str`, which is what onnxruntime takes.

    Raises:
        ValueError: It is no .npz file, or it holds pickled objects.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise ValueError("it holds one array; save arrays by name with numpy.savez")
        raise ValueError("it is not an .npz file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: _stored(stored, name) for name in stored.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is not an .npz file, or damaged: {error}") from None
    return {name: _as_objects(array) if array.dtype.kind in "US" else array for name, array in arrays.items()}


def _stored(stored: np.lib.npyio.NpzFile, name: str) -> Array:
    try:
        return np.asarray(stored[name])
    except ValueError as error:
        if "pickle" in str(error):
            raise ValueError(f"{name!r} holds Python objects; save strings as array.astype(str)") from None
        raise


def _as_objects(strings: Array) -> Array:
    return (np.char.decode(strings, "utf-8") if strings.dtype.kind == "S" else strings).astype(object)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an .npz file under any names, without pickles: strings as fixed-width unicode.

    The same arrays give the same bytes: members bear zip's epoch, not the time.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            if array.dtype.kind == "O":
                array = array.astype(np.str_)
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def session_options(session: Mapping[str, Any], threads: int) -> onnxruntime.SessionOptions:
    """The options that a manifest's `session` member stands for, on top of what the handler always sets."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[session["graph_optimization_level"]]
    options.intra_op_num_threads = session["intra_op_num_threads"] or threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = session["enable_cpu_mem_arena"]
    options.enable_mem_pattern = session["enable_mem_pattern"]
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    for key, value in session["config"].items():
        options.add_session_config_entry(key, value)
    options.log_severity_level = 4
    return options


def anonymous_bytes() -> int | None:
    """Memory that belongs to this process alone; None where the system does not tell it apart (not Linux)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return None


def run(session: onnxruntime.InferenceSession, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """One run, with BF16 tensors as float32 on both sides, since numpy has no bfloat16."""
    names = [output.name for output in session.get_outputs()]
    types = {spec.name: spec.type for spec in (*session.get_inputs(), *session.get_outputs())}
    if "tensor(bfloat16)" not in types.values():
        return dict(zip(names, session.run(names, dict(arrays)), strict=True))
    values = {}
    for name, array in arrays.items():
        if types[name] == "tensor(bfloat16)":
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(_narrowed(array), BFLOAT16)
        else:
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy(np.require(array, requirements="C"))
    results = session.run_with_ort_values(names, values)
    return {name: _to_numpy(value) for name, value in zip(names, results, strict=True)}


def _narrowed(values: Array) -> Array:
    bits = np.asarray(values, np.float32).view(np.uint32)
    narrowed = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), narrowed)


def _to_numpy(value: Any) -> Array:
    if value.element_type() != BFLOAT16:
        return np.asarray(value.numpy())
    import ctypes

    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    bits = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32).reshape(value.shape())


def _signature(specs: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "type": spec.type, "shape": list(spec.shape or ())} for spec in specs]


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a request of session_process.py. If it fails, the answer has the stage and the message."""
    stage = ["start"]
    try:
        return _answer(request, stage)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        return {"failed": stage[0], "message": f"{error}"}


def _answer(request: Mapping[str, Any], stage: list[str]) -> dict[str, Any]:
    options = session_options(request["session"], request["threads"])
    if request["optimized"]:
        target = Path(request["optimized"])
        options.optimized_model_filepath = str(target)
        weights = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{weights}_file_name", f"{target.name}.data")
        options.add_session_config_entry(f"{weights}_min_size_in_bytes", "1024")
    feeds = [read_arrays(Path(path)) for path in request["feeds"]]
    before = anonymous_bytes()
    stage[0] = "load"
    started = perf_counter()
    session = onnxruntime.InferenceSession(request["model"], options, providers=["CPUExecutionProvider"])
    load = perf_counter() - started
    stage[0] = "run"
    told: dict[str, Any] = {
        "load": load,
        "inputs": _signature(session.get_inputs()),
        "outputs": _signature(session.get_outputs()),
    }
    for number, arrays in enumerate(feeds):
        started = perf_counter()
        outputs = run(session, arrays)
        first = perf_counter() - started
        if number == 0:
            after = anonymous_bytes()
            told["first"] = first
            told["anonymous"] = None if before is None or after is None else max(0, after - before)
            told["warm"] = _warm(session, arrays, request["warm_seconds"], first)
        if request["outputs"]:
            write_arrays(Path(request["outputs"]) / f"{number}.npz", outputs)
    return told


def _warm(session: onnxruntime.InferenceSession, arrays: Mapping[str, Array], seconds: float, first: float) -> float:
    if not seconds:
        return first
    times: list[float] = []
    least, most = WARM_RUNS
    while len(times) < least or (sum(times) < seconds and len(times) < most):
        started = perf_counter()
        run(session, arrays)
        times.append(perf_counter() - started)
    return median(times)


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
