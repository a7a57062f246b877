"""`python -m fuzz TARGET [--runs N]`: libFuzzer, by atheris, over one target."""

from __future__ import annotations

import argparse
import logging
import resource
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "hostile" / "corpus"
sys.path[:0] = [str(ROOT), str(ROOT / "runtime")]

with atheris.instrument_imports(include=["onnx_handler"]):
    import onnx_handler.http  # noqa: F401

from fuzz.targets import TARGETS, ended, still_good  # noqa: E402 - after the handler, so that it is instrumented
from tests.hostile.lambda_log import LambdaLog  # noqa: E402


def main() -> None:
    """Runs the target until `runs` inputs were tried, or one fails."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=100_000, help="how many inputs (default: %(default)s)")
    parser.add_argument(
        "--found", type=Path, help="directory to keep inputs that reach new code; default: none are kept"
    )
    parser.add_argument("--memory", type=int, default=1024, help="MiB that the process may take (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    tried = 0
    sys.stdout = StringIO()  # the metrics; emptied below
    log, lines = logging.getLogger("onnx_handler"), LambdaLog()
    log.propagate = False
    log.addHandler(lines)

    def one(data: bytes) -> None:
        nonlocal tried
        tried += 1
        target(data)
        if tried % 1000 == 0:
            still_good()
            sys.stdout = StringIO()
            lines.lines.clear()
        if tried in (arguments.runs, arguments.runs // 2):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{arguments.target}: {tried} inputs, {dict(ended)}, peak {peak} MiB", file=sys.stderr, flush=True)

    options = [
        f"-runs={arguments.runs}",
        f"-rss_limit_mb={arguments.memory}",
        "-timeout=20",
        "-max_len=4096",
        "-len_control=20",
    ]
    options += [f"-seed={arguments.seed}", "-print_final_stats=1", f"-artifact_prefix={arguments.target}-"]
    with TemporaryDirectory() as unkept:  # libFuzzer writes new inputs to the first directory
        directories = [str(arguments.found or unkept), str(CORPUS / arguments.target)]
        atheris.Setup([sys.argv[0], *options, *directories], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
