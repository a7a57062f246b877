"""The options by which commands say where the job API is and how to talk to it."""

from collections.abc import Callable
from typing import Any

import click

from onnx_inference.infer.endpoint_options import endpoint_options

_OPTIONS = (
    click.option("--api-key", envvar="ONNX_INFERENCE_API_KEY", show_envvar=True, help="Sent as x-api-key."),
    click.option(
        "--bearer",
        envvar="ONNX_INFERENCE_BEARER",
        show_envvar=True,
        help="A token, sent as Authorization: Bearer; requests are then not signed.",
    ),
    click.option("--concurrency", type=click.IntRange(1, 256), default=16, show_default=True, help="Requests at once."),
)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments of `JobsClient`, of which `endpoint` is called `url`, and `concurrency`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return endpoint_options(command)
