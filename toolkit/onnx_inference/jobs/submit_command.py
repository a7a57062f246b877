"""`onnx-inference submit`: submit inference jobs and print their ids."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

import click

from onnx_inference.extras import MissingExtra
from onnx_inference.infer.http_client import RequestFailed
from onnx_inference.infer.inputs import InputError, read_inputs
from onnx_inference.infer.signing import SigningError
from onnx_inference.infer.tensors import TensorMismatch
from onnx_inference.jobs.client import JobsClient
from onnx_inference.jobs.client_options import client_options
from onnx_inference.jobs.job import new_job_id


@click.command()
@client_options
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input of one job: NAME=@file.npy, NAME=@file.json or NAME=JSON; repeatable.",
)
@click.option(
    "--lines",
    type=click.File("r"),
    metavar="FILE",
    help="Submit a job for each line, `-` reads standard input. A line is a JSON object: values by input, or the "
    "protocol's request with `inputs`; its member `id` is the job's id.",
)
@click.option("--id", "job_id", help="The job's id; submitting it again changes nothing. Default: a new one.")
@click.option(
    "--job-timeout",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="When the job expires. Default: by the service.",
)
def submit(
    inputs: tuple[str, ...],
    lines: TextIO | None,
    job_id: str | None,
    job_timeout: int | None,
    url: str,
    concurrency: int,
    **client_arguments: Any,
) -> None:
    """Submit a job, or one for each line, to the job API at URL. Prints the job's id, or a JSON line for each job.

    Exit status: 0 when all jobs were accepted, 1 when one was not.
    """
    if bool(inputs) == (lines is not None):
        raise click.UsageError("Give either --input or --lines.")
    if lines is not None and job_id is not None:
        raise click.UsageError("--id names one job; with --lines each line has its own member `id`.")
    try:
        client = JobsClient(url, **client_arguments)
        if lines is None:
            given = read_inputs(inputs)
            click.echo(client.submit(given, id=job_id, timeout=job_timeout).id)
            return
        refused = 0
        with ThreadPoolExecutor(concurrency) as pool:
            for answer in pool.map(lambda line: _submitted(client, line, job_timeout), _requests(lines)):
                click.echo(json.dumps(answer))
                refused += "status" not in answer
    except (InputError, TensorMismatch) as error:
        raise click.UsageError(str(error)) from error
    except (MissingExtra, RequestFailed, SigningError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(1 if refused else 0)


def _requests(lines: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The id and the inputs of each line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"line {number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InputError(f"line {number}: a JSON object is expected, got {type(value).__name__}")
        yield str(value.pop("id", None) or new_job_id()), value


def _submitted(client: JobsClient, request: tuple[str, dict[str, Any]], timeout: int | None) -> dict[str, Any]:
    job, inputs = request
    try:
        submitted = client.submit(inputs, id=job, timeout=timeout)
    except (RequestFailed, TensorMismatch) as error:
        return {"id": job, "error": str(error)}
    return {"id": submitted.id, "status": submitted.status}
