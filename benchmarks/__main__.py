"""`python -m benchmarks`: makes the environment, measures, and writes results/latest.{md,svg,json}.

This file runs twice: once in whatever Python it is called with, which needs nothing installed, and again in the virtual
environment of benchmarks/requirements.txt.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
WORKPLACE = REPOSITORY / ".local" / "benchmarks"
IMAGE_PYTHON = "3.13"  # what the image has; taken where the machine has it too
ROUNDS = {"cold_start": 100, "warm_small_json": 100, "warm_image": 60}


def main() -> None:
    arguments = _arguments()
    python = _environment(arguments.python)
    if Path(sys.prefix) != python.parents[1]:
        os.chdir(REPOSITORY)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(python), "-m", "benchmarks", *sys.argv[1:]]
        os.execve(python, command, {**kept, "ORT_DISABLE_TELEMETRY": "1"})
    _measure(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against named baselines.")
    parser.add_argument("--rounds", type=int, help=f"of each benchmark; default: {ROUNDS}")
    parser.add_argument("--only", choices=ROUNDS, action="append", help="this benchmark (repeatable); default: all")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="for the report; default: today")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="where to write")
    parser.add_argument("--python", default=_python(), help=f"interpreter to measure with; default: {IMAGE_PYTHON}, "
                        "as in the image, or this one")  # fmt: skip
    return parser.parse_args()


def _python() -> str:
    found = shutil.which(f"python{IMAGE_PYTHON}")
    if found:
        asked = subprocess.run([found, "-c", "import ensurepip, venv"], capture_output=True, check=False)
        if asked.returncode == 0:
            return found
    return sys.executable


def _environment(interpreter: str) -> Path:
    """The environment's Python; installs where the requirements or the interpreter are new."""
    directory = WORKPLACE / "venv"
    python, stamp = directory / "bin" / "python", directory / ".installed"
    if Path(sys.prefix) == directory:
        return python
    wanted = hashlib.sha256(f"{interpreter}\n{REQUIREMENTS.read_text()}".encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print("Installing benchmarks/requirements.txt into .local/benchmarks ...", flush=True)
        subprocess.run([interpreter, "-m", "venv", "--clear", directory], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS],
            check=True,
        )
        stamp.write_text(wanted)
    return python


def _measure(arguments: argparse.Namespace) -> None:
    from . import machine, picture, report

    described = machine.described()
    results = []
    for name in arguments.only or ROUNDS:
        rounds = arguments.rounds or ROUNDS[name]
        print(f"{name}: {rounds} rounds ...", flush=True)
        results.append(import_module(f".{name}", __package__).run(rounds, WORKPLACE))
        print(report.lines(results[-1]), flush=True)
    arguments.results.mkdir(parents=True, exist_ok=True)
    written = {
        "latest.md": report.markdown(results, arguments.date, described, picture="latest.svg"),
        "latest.svg": picture.svg(results, arguments.date, described["cores"]),
        "latest.json": json.dumps(report.document(results, arguments.date, described), ensure_ascii=False) + "\n",
    }
    for file, text in written.items():
        (arguments.results / file).write_text(text)


if __name__ == "__main__":
    main()
