"""Reads the values of `--input`: `name=@file.npy`, `name=@file.json`, or `name=JSON`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_inference.infer.tensors import numpy


class InputError(ValueError):
    """A value of `--input` cannot be read."""


@dataclass(frozen=True)
class GivenInput:
    """A value for one of the model's inputs: an array, or what JSON can hold. It is cast when the request is made."""

    name: str
    value: Any


def read_input(text: str) -> GivenInput:
    """Read one value of `--input`.

    Raises:
        InputError: The message says what is wrong with it.
    """
    name, separator, source = text.partition("=")
    if not separator or not name:
        raise InputError(f"{text!r} is not NAME=VALUE")
    if not source.startswith("@"):
        return GivenInput(name, _json(source, name))
    path = Path(source[1:])
    if not path.is_file():
        raise InputError(f"{name}: there is no file {path}")
    if path.suffix == ".npy":
        try:
            return GivenInput(name, numpy().load(path, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise InputError(f"{name}: {path} cannot be read as .npy: {error}") from error
    if path.suffix == ".json":
        return GivenInput(name, _json(path.read_text(), f"{name}: {path}"))
    raise InputError(f"{name}: {path} is neither .npy nor .json")


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{what}: not JSON: {error} (text needs quotes: '[\"some text\"]')") from error
