"""Reads the values of `--input`: `name=@file.npy`, `name=@file.json`, or `name=JSON`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onnx_inference.infer.tensors import numpy


class InputError(ValueError):
    """A value of `--input` cannot be read."""


def read_inputs(texts: Iterable[str]) -> dict[str, Any]:
    """Read the values of `--input`: an array, or what JSON can hold, by input.

    Raises:
        InputError: The message says which value is wrong, and how.
    """
    inputs: dict[str, Any] = {}
    for text in texts:
        name, value = _read(text)
        if name in inputs:
            raise InputError(f"{name} is given twice")
        inputs[name] = value
    return inputs


def _read(text: str) -> tuple[str, Any]:
    name, separator, source = text.partition("=")
    if not separator or not name:
        raise InputError(f"{text!r} is not NAME=VALUE")
    if not source.startswith("@"):
        return name, _json(source, name)
    path = Path(source[1:])
    if not path.is_file():
        raise InputError(f"{name}: there is no file {path}")
    if path.suffix == ".npy":
        try:
            return name, numpy().load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{name}: {path} cannot be read as .npy: {error}") from error
    if path.suffix == ".json":
        return name, _json(path.read_text(), f"{name}: {path}")
    raise InputError(f"{name}: {path} is neither .npy nor .json")


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{what}: not JSON: {error} (text needs quotes: '[\"some text\"]')") from error
