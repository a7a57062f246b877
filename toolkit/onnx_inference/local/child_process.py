"""Runs a program to its end, in a process group of its own that is killed afterwards."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_to_end(
    command: str | Sequence[str], *, directory: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program and capture what it prints. No process of it stays behind, also when the caller is interrupted.

    Args:
        command: A program with its arguments, or a line for the shell.
        directory: The working directory.
        environment: The whole environment.
    """
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        printed, _ = process.communicate()
    finally:
        # Also after a success: a process that the program left running would keep our files open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, printed)
