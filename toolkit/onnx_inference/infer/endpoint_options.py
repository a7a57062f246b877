"""The options by which commands say where an endpoint is and how to talk to it."""

from collections.abc import Callable
from typing import Any

import click


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", ctx, param)
        headers[name] = value
    return headers


_OPTIONS = (
    click.argument("url"),
    click.option("--model", required=True, help="The model's name."),
    click.option("--version", help="The model's version. Default: the server's choice."),
    click.option(
        "--auth",
        type=click.Choice(["auto", "iam", "none"]),
        default="auto",
        show_default=True,
        help="Sign requests with your AWS credentials: when the endpoint asks for it, always, or never.",
    ),
    click.option("--region", help="The region to sign for. Default: that of the URL or of the AWS configuration."),
    click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_pairs,
        help="A further header; repeatable.",
    ),
)


def endpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments `url`, `model`, `version`, `auth`, `region` and, as a dictionary, `headers`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
