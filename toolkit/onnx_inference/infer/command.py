"""`onnx-inference infer`: send one inference request and print the prediction."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from onnx_inference.extras import MissingExtra
from onnx_inference.infer.endpoint_options import endpoint_options
from onnx_inference.infer.http_client import EndpointClient, RequestFailed
from onnx_inference.infer.inputs import InputError, read_inputs
from onnx_inference.infer.open_inference import InferenceResponse, Model
from onnx_inference.infer.signing import SigningError
from onnx_inference.infer.tensors import TensorMismatch, to_json

_SHOWN_VALUES = 20


@click.command()
@endpoint_options
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="NAME=VALUE",
    help="An input: NAME=@file.npy, NAME=@file.json or NAME=JSON; repeatable.",
)
@click.option("-o", "--output", "outputs", multiple=True, metavar="NAME", help="An output; repeatable. Default: all.")
@click.option(
    "--binary/--json", "binary", default=None, help="How to send tensors. Default: as binary data above 16 KiB."
)
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds to wait.")
@click.option("--raw", is_flag=True, help="Print the response as JSON.")
def infer(
    url: str,
    model: str,
    version: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    binary: bool | None,
    timeout: float,
    raw: bool,
    **endpoint: Any,
) -> None:
    """Send one inference request to the endpoint URL and print the prediction.

    The request is signed with your AWS credentials when the endpoint asks for that.
    """
    try:
        values = read_inputs(inputs)
        client = EndpointClient(url, timeout_seconds=timeout, **endpoint)
        response = Model(client, model, version).infer(values, outputs=outputs, binary=binary)
    except (InputError, TensorMismatch) as error:
        raise click.UsageError(str(error)) from error
    except (MissingExtra, RequestFailed, SigningError) as error:
        raise click.ClickException(str(error)) from error
    if raw:
        click.echo(json.dumps(response.to_json()))
    else:
        _print(response)


def _print(response: InferenceResponse) -> None:
    version = f", version {response.model_version}" if response.model_version else ""
    table = Table(title=f"{response.model_name}{version}", title_justify="left")
    for heading in ("Output", "Datatype", "Shape", "Values"):
        table.add_column(heading, overflow="fold")
    for output in response.outputs:
        values = to_json(output.array)
        texts = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values[:_SHOWN_VALUES]]
        more = f" ... ({len(values)} values)" if len(values) > _SHOWN_VALUES else ""
        table.add_row(output.name, output.datatype, str(list(output.array.shape)), " ".join(texts) + more)
    Console(highlight=False).print(table)
