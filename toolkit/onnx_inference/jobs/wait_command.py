"""`onnx-inference wait`: wait for jobs and print what became of them."""

import json
import sys
from typing import Any, TextIO

import click

from onnx_inference.extras import MissingExtra
from onnx_inference.infer.http_client import RequestFailed
from onnx_inference.infer.signing import SigningError
from onnx_inference.jobs.client import JobsClient
from onnx_inference.jobs.client_options import client_options
from onnx_inference.jobs.job import SUCCEEDED, JobError, JobNotFinished, JobOutcome


@click.command()
@client_options
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--lines",
    type=click.File("r"),
    metavar="FILE",
    help="Take the ids from a file, `-` reads standard input: one on each line, or the JSON lines of `submit`.",
)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Default: until the jobs' deadlines.")
@click.option("--results/--no-results", default=True, show_default=True, help="Print results too.")
@click.option("--progress/--no-progress", default=None, help="A progress bar. Default: on a terminal.")
def wait(
    ids: tuple[str, ...],
    lines: TextIO | None,
    timeout: float | None,
    results: bool,
    progress: bool | None,
    url: str,
    concurrency: int,
    **client_arguments: Any,
) -> None:
    """Wait until the jobs with the IDs are finished, and print a JSON line for each, in the same order.

    Exit status: 0 when all succeeded, 1 when one did not, 3 when one was not finished in time.
    """
    wanted = [*ids, *(_ids(lines) if lines is not None else ())]
    if not wanted:
        raise click.UsageError("Name jobs, or give them by --lines.")
    worst = 0
    try:
        shown = sys.stderr.isatty() if progress is None else progress
        client = JobsClient(url, **client_arguments)
        outcomes = client.collect(wanted, concurrency=concurrency, timeout=timeout, progress=shown)
        for outcome in outcomes:
            line = _line(outcome, results=results)
            click.echo(json.dumps(line))
            if isinstance(outcome.error, JobNotFinished):
                worst = 3
            elif outcome.error is not None:
                worst = worst or 1
    except (MissingExtra, RequestFailed, SigningError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(worst)


def _ids(lines: TextIO) -> list[str]:
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if text.startswith("{"):
            try:
                text = json.loads(text)["id"]
            except (ValueError, KeyError) as error:
                raise click.UsageError(f"line {number} is no JSON object with an `id`") from error
        found.append(text)
    return found


def _line(outcome: JobOutcome, *, results: bool) -> dict[str, Any]:
    if outcome.response is not None:
        line: dict[str, Any] = {"id": outcome.id, "status": SUCCEEDED}
        return {**line, "result": outcome.response.to_json()} if results else line
    error = outcome.error
    if isinstance(error, JobError | JobNotFinished):
        return {"id": outcome.id, "status": error.job.status, "error": error.job.error or str(error)}
    return {"id": outcome.id, "error": str(error)}
