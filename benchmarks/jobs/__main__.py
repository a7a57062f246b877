"""`python -m benchmarks.jobs`: jobs per second, one at a time and together, and the cost of a million of them.

It needs what the tests need. All ways take turns in each round; a ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from base64 import b64encode
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx

from benchmarks.rounds import interleaved, ratios
from onnx_handler.queue import Handler

from . import models
from .dynamodb import LATENCY, LoopbackClients

ROWS = 32
# Dollars, us-east-1: Lambda x86 per GB-second and per million requests (price list of 2026-09-19), SQS per million
# requests (2025-08-28), DynamoDB on demand per million writes of 1 KB (2026-08-15).
GB_SECOND, INVOCATIONS, QUEUE_REQUESTS, WRITES = 0.0000166667, 0.20, 0.40, 0.625
MEMORY = 1769  # MB: one vCPU
# An item is also written to and deleted from the index of open jobs, and first written by the job API.
WRITES_PER_JOB = 5
RECEIVED_TOGETHER = 10

# How many messages an invocation has, and how many rows a run.
WAYS = {"one message, one run": (1, 1), "a batch, run one by one": (320, 1), "a batch, micro-batched": (320, ROWS)}
ONE, BATCH, MICRO = WAYS


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=320, help="of each way in each round")
    parser.add_argument("--latency", type=float, default=LATENCY * 1000, help="of a DynamoDB call, in milliseconds")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if hasattr(os, "sched_setaffinity"):  # one vCPU, threads that write beside a run included
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name, model, shape in (
        ("perceptron, 101 MB of weights", models.perceptron(), (models.WIDTH,)),
        ("convolutions on 96x96", models.convolutions(), (3, 96, 96)),
    ):
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # the lines of metrics
            samples, writes = measured(model, shape, arguments.rounds, arguments.jobs, arguments.latency / 1000)
        print(f"\n{name}; {arguments.jobs} jobs, {arguments.latency:g} ms of DynamoDB, median of {arguments.rounds}\n")
        print(report(samples))
        assert writes == 2 * arguments.jobs


def measured(
    model: onnx.ModelProto, shape: tuple[int, ...], rounds: int, count: int, latency: float
) -> tuple[dict[str, list[float]], int]:
    """Seconds per job of each way in each round, and the items that one way writes."""
    with tempfile.TemporaryDirectory() as directory:
        path = models.saved(model, Path(directory) / "model")
        clients = LoopbackClients(latency)
        ways = {name: worker(path, clients, *way) for name, way in WAYS.items()}
        messages = [message(number, shape) for number in range(count)]
        for work in ways.values():  # loads the model and opens the connections
            work(messages)

        def seconds_per_job(work: Callable[[list[dict[str, Any]]], None]) -> float:
            clients.writes = 0
            began = perf_counter()
            work(messages)
            return (perf_counter() - began) / count

        samples = interleaved({name: partial(seconds_per_job, work) for name, work in ways.items()}, rounds)
        return samples, clients.writes


def worker(path: Path, clients: LoopbackClients, batch: int, rows: int) -> Callable[[list[dict[str, Any]]], None]:
    """A worker of its own, as a function that gives it `batch` messages per invocation and `rows` rows per run."""
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY),
        "JOBS_TABLE_NAME": "jobs",
        "PAYLOAD_BUCKET_NAME": "payloads",
        "MICRO_BATCH_SIZE": str(rows),
        "MODEL_PATH": str(path),
    }
    worker = Handler(clients)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 600_000)

    def work(messages: list[dict[str, Any]]) -> None:
        for first in range(0, len(messages), batch):
            answer = worker.handle({"Records": messages[first : first + batch]}, context)
            assert answer == {"batchItemFailures": []}

    return work


def message(number: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """A job with one row of raw tensor."""
    raw = np.random.default_rng(number).random((1, *shape), np.float32).tobytes()
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, *shape],
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = {
        "id": f"job-{number}",
        "headers": {"inference-header-content-length": str(len(head))},
        "body_base64": b64encode(head + raw).decode(),
    }
    return {"messageId": f"message-{number}", "body": json.dumps(body), "attributes": {"ApproximateReceiveCount": "1"}}


def report(samples: dict[str, list[float]]) -> str:
    """A table: jobs per second, the ratio to one message at a time, and dollars per million jobs."""
    lines = ["| way | jobs per second | to one message | Lambda | invocations | SQS | DynamoDB | per million jobs |"]
    lines.append("|---" * 8 + "|")
    for name, seconds in samples.items():
        ratio = median(ratios(samples, ONE, name))
        batch = WAYS[name][0]
        parts = (
            median(seconds) * MEMORY / 1024 * GB_SECOND * 1e6,
            INVOCATIONS / batch,
            QUEUE_REQUESTS * (1 + 2 / min(batch, RECEIVED_TOGETHER)),
            WRITES * WRITES_PER_JOB,
        )
        dollars = " | ".join(f"${part:.2f}" for part in (*parts, sum(parts)))
        lines.append(f"| {name} | {1 / median(seconds):.0f} | {ratio:.1f} | {dollars} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
