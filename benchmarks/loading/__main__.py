"""`python -m benchmarks.loading`: measures, prints, and writes loading.md and loading.json.

Runs in the Python that it is called with, which must have benchmarks/requirements.txt and what `onnx-inference prepare`
needs. `large` needs root, to drop the page cache. Needs some 4 GB of disk in the workplace.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine, report
from benchmarks.rounds import Result

from . import from_s3, large_model, models

BENCHMARKS: dict[str, Callable[[str, int, Path], Result]] = {
    "large": large_model.measure,
    "s3": from_s3.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description="Ratios against named baselines.")
    parser.add_argument("--rounds", type=int, default=15, help="of each benchmark; default: 15")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="this benchmark (repeatable); default: all")
    parser.add_argument(
        "--shape",
        choices=models.SHAPES,
        action="append",
        help="this kind of model (repeatable); default: all in large, mlp in s3",
    )
    parser.add_argument(
        "--workplace",
        type=Path,
        default=Path(__file__).parents[2] / ".local" / "benchmarks",
        help="where to put models and task roots, 4 GB; default: .local/benchmarks",
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).parents[1] / "results", help="where to write")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="for the report; default: today")
    arguments = parser.parse_args()
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    arguments.workplace.mkdir(parents=True, exist_ok=True)
    described = machine.described()
    results = []
    for name in arguments.only or BENCHMARKS:
        for shape in arguments.shape or (models.SHAPES if name == "large" else ["mlp"]):
            print(f"{name}, {shape}: {arguments.rounds} rounds ...", flush=True)
            results.append(BENCHMARKS[name](shape, arguments.rounds, arguments.workplace))
            print(report.lines(results[-1]), flush=True)
    described["load after the run"] = f"{os.getloadavg()[0]:.1f}"
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "loading.md").write_text(report.markdown(results, arguments.date, described))
    document = json.dumps(report.document(results, arguments.date, described), ensure_ascii=False)
    (arguments.results / "loading.json").write_text(f"{document}\n")


if __name__ == "__main__":
    main()
