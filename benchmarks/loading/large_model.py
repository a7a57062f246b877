"""Cold start of a large model, with nothing in the page cache, and the memory that it takes.

prepared        onnx_handler with the package that `onnx-inference prepare --for cold-start` makes
bare            onnx_handler with the same model in one .onnx file
session         a handler with `InferenceSession("model.onnx")`
ort             the same handler with the model in onnxruntime's own format
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from benchmarks.contenders import http_event
from benchmarks.rounds import Chart, Figure, Result, Table, interleaved, ratios
from benchmarks.runtime_api import FirstAnswer, first_answer

from . import models, page_cache
from .staging import COMMANDS, HANDLER, staged

SIZE = 400_000_000
PREPARED, BARE, SESSION, ORT = "prepared", "bare", "session", "ort"
COLD, MEMORY = 0.35, 0.15


def measure(shape: str, rounds: int, workplace: Path) -> Result:
    """Measures one shape of model."""
    place = workplace / "loading" / shape
    models.save(shape, SIZE, place)
    ours, theirs = staged(HANDLER, workplace), staged("session", workplace)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 8], "data": models.INPUT}
    request = http_event("/v2/models/model/infer", {"inputs": [tensor]})
    # Everybody has the machine's cores, and ours takes its threads from the function's memory.
    cores = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(1769 * len(os.sched_getaffinity(0)))}
    arguments = {
        PREPARED: (ours, request, {"MODEL_PATH": str(place / "prepared")}),
        BARE: (ours, request, {"MODEL_PATH": str(place / "bare" / "model.onnx")}),
        SESSION: (theirs, {"x": models.INPUT}, {"MODEL_FILE": str(place / "bare" / "model.onnx")}),
        ORT: (theirs, {"x": models.INPUT}, {"MODEL_FILE": str(place / "ort" / "model.ort")}),
    }
    weights = (place / "prepared" / "model.onnx.data").stat().st_size
    memory: dict[str, list[float]] = {name: [] for name in arguments}

    def cold_start(name: str) -> float:
        root, event, environment = arguments[name]
        page_cache.drop()
        with first_answer(COMMANDS[root.name], root, event, {**cores, **environment}) as answer:
            memory[name].append(anonymous(answer) / weights)
            return answer.seconds * 1000

    samples = interleaved({name: partial(cold_start, name) for name in arguments}, rounds)
    figures = [
        Figure(f"cold start, {shape}, page cache dropped", "session", ratios(samples, PREPARED, SESSION), COLD),
        Figure(f"cold start, {shape}, page cache dropped", ".ort", ratios(samples, PREPARED, ORT)),
        Figure(f"cold start of the bare model, {shape}", "session", ratios(samples, BARE, SESSION)),
        Figure(f"anonymous memory, {shape}", "weights", memory[PREPARED], MEMORY),
    ]
    rows = [(name, f"{sorted(values)[len(values) // 2]:.2f}") for name, values in memory.items()]
    tables = [
        Table("Anonymous memory after one answer / weights", ("who", "median"), rows),
        Table("What prepare chose", ("session option", "value"), models.chosen(place / "prepared")),
    ]
    title = f"Cold start, {weights / 1e6:.0f} MB of weights, {shape}, page cache dropped"
    chart = Chart(title, samples, PREPARED, "ms")
    return Result(f"large_{shape}", title, samples, "ms", figures, chart, tables)


def anonymous(answer: FirstAnswer) -> int:
    """Bytes of the process's memory that are not mapped from a file."""
    status = Path(f"/proc/{answer.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))
