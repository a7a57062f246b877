"""Runs sessions in processes of their own, one at a time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .session_options import SessionOptions

_WORKER = Path(__file__).with_name("session_worker.py")
_PREFIXES = (
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : ",
    r"^Load model from .*? failed: ?",
    r"^\S*\.(cc|h):\d+ (?:[^()]|\([^()]*\))*\([^)]*\)[^ ]* ",
)


class SessionFailed(Exception):
    """onnxruntime refused a model, failed in a run, or died.

    Attributes:
        stage: `load`, `run`, or `died`.
        message: onnxruntime's own words, without paths of this machine where they lead the message.
    """

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message


@dataclass(frozen=True, slots=True)
class SessionRun:
    """What one process told.

    Attributes:
        inputs: name, onnxruntime's type, and shape of each input.
        outputs: The same of each output.
        load: Seconds that the session took to make.
        first: Seconds of the first run.
        warm: Median seconds of later runs.
        anonymous: Bytes of anonymous memory that loading and one run added; None where it cannot be measured.
    """

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    load: float
    first: float
    warm: float
    anonymous: int | None


def run_session(
    model: Path,
    session: SessionOptions,
    *,
    threads: int = 1,
    feeds: Sequence[Path] = (),
    outputs: Path | None = None,
    warm_seconds: float = 0.0,
    optimized: Path | None = None,
) -> SessionRun:
    """Makes a session in a fresh process and runs it.

    Args:
        model: The .onnx file.
        session: Its options.
        threads: Threads where the options leave them open.
        feeds: .npz files; the first is the one that is timed.
        outputs: Directory that receives `<number>.npz` for each feed.
        warm_seconds: For how long to repeat the first feed.
        optimized: Where to write the optimised graph; its weights go beside it.

    Raises:
        SessionFailed: It did not work.
    """
    request = {
        "model": str(model),
        "session": session.to_manifest(),
        "threads": threads,
        "feeds": [str(path) for path in feeds],
        "outputs": str(outputs) if outputs else None,
        "warm_seconds": warm_seconds,
        "optimized": str(optimized) if optimized else None,
    }
    answer = _ask(request)
    if "failed" in answer:
        raise SessionFailed(answer["failed"], _cleaned(answer["message"]))
    return SessionRun(
        answer["inputs"],
        answer["outputs"],
        answer["load"],
        answer.get("first", 0.0),
        answer.get("warm", 0.0),
        answer.get("anonymous"),
    )


def _ask(request: Mapping[str, Any]) -> dict[str, Any]:
    """Has the worker answer a request in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-P", str(_WORKER)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )
    if process.returncode:
        raise SessionFailed("died", _death(process.returncode, process.stderr))
    answer: dict[str, Any] = json.loads(process.stdout)
    return answer


def _death(returncode: int, stderr: str) -> str:
    if returncode == -9:
        return "the process was killed, as happens when memory runs out"
    if returncode < 0:
        return f"the process died of {signal.Signals(-returncode).name}"
    return stderr.strip().rpartition("\n")[2] or f"the process ended with status {returncode}"


def _cleaned(message: str) -> str:
    for prefix in _PREFIXES:
        message = re.sub(prefix, "", message.strip())
    return " ".join(message.split())
