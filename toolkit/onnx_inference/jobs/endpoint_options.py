"""The options by which commands say where the job API is and how to talk to it."""

from collections.abc import Callable
from typing import Any

import click

from onnx_inference.jobs.client import JobsClient

_OPTIONS = (
    click.argument("url"),
    click.option("--model", required=True, help="The model's name."),
    click.option("--version", help="The model's version. Default: the server's choice."),
    click.option("--auth", type=click.Choice(["auto", "iam", "none"]), default="auto", show_default=True),
    click.option("--region", help="The region to sign for. Default: that of the URL or of the AWS configuration."),
    click.option("--api-key", envvar="ONNX_INFERENCE_API_KEY", show_envvar=True, help="Sent as x-api-key."),
    click.option("--bearer", envvar="ONNX_INFERENCE_BEARER", show_envvar=True, help="A token to send instead."),
    click.option("--header", "headers", multiple=True, metavar="KEY=VALUE", help="A further header; repeatable."),
    click.option("--concurrency", type=click.IntRange(1, 256), default=16, show_default=True, help="Requests at once."),
)


def endpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `client_of` takes, and `--concurrency`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def client_of(
    url: str,
    model: str,
    version: str | None,
    auth: str,
    region: str | None,
    api_key: str | None,
    bearer: str | None,
    headers: tuple[str, ...],
) -> JobsClient:
    """The client that the options describe."""
    pairs = {}
    for text in headers:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="'--header'")
        pairs[name] = value
    return JobsClient(
        url, model, version=version, auth=auth, region=region, api_key=api_key, bearer=bearer, headers=pairs
    )
