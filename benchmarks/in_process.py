"""Handlers in this process, called as awslambdaric calls them: what a warm request costs without Lambda around it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import IO, Any, cast

from awslambdaric.bootstrap import Unbuffered  # type: ignore[import-untyped]
from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]

from .contenders import OURS, REPOSITORY, Contender
from .runtime_api import REQUEST_ID

Handler = Callable[[Any, Any], Any]
CONTEXT = LambdaContext(
    REQUEST_ID, None, None, 4_102_444_800_000, "arn:aws:lambda:eu-central-1:123456789012:function:f"
)


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def log() -> Iterator[None]:
    """Standard output as awslambdaric has it: flushed at each write, into a pipe that another process empties."""
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as reader,
        redirect_stdout(cast("IO[str]", Unbuffered(reader.stdin))),
    ):
        yield


def unlogged(sample: Callable[[], float]) -> Callable[[], float]:
    """The same sample, with standard output discarded."""

    def discarding() -> float:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(cast("IO[str]", Unbuffered(nowhere))):
            return sample()

    return discarding


def loaded(contender: Contender) -> Handler:
    """The contender's handler, its model loaded."""
    environment = {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_FUNCTION_NAME": "digits",
        "LAMBDA_TASK_ROOT": str(contender.task_root),
        **contender.environment(),
    }
    with variables(environment), log():
        if contender.name == OURS:
            return our_handler()
        module_name = f"benchmarks_{contender.name}"
        spec = importlib.util.spec_from_file_location(module_name, contender.task_root / "handler.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # pydantic looks annotations up there
        spec.loader.exec_module(module)
        return cast("Handler", module.handler)


def our_handler() -> Handler:
    """Our handler, made from the environment variables that are set now."""
    runtime = str(REPOSITORY / "runtime")
    if runtime not in sys.path:
        sys.path.insert(0, runtime)
    http = importlib.import_module("onnx_handler.http")
    return cast("Handler", http.Handler().handle)


def session(model: Path) -> Any:
    """onnxruntime alone, with the options that ours has at 1,769 MB."""
    models_session = importlib.import_module("onnx_handler.models.session")
    return models_session.open_session(str(model), 1769)


def typical(call: Callable[[], Any], calls: int) -> Callable[[], float]:
    """A sample is the median of `calls` calls, in microseconds."""

    def sample() -> float:
        taken = []
        for _ in range(calls):
            start = perf_counter_ns()
            call()
            taken.append(perf_counter_ns() - start)
        return median(taken) / 1000

    return sample
