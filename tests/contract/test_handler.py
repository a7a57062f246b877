"""What the constructs and the handler have in common, without importing each other: environment, routes, command."""

from __future__ import annotations

import importlib

import pytest

from cdk_onnx_inference import _environment
from cdk_onnx_inference.api import _routes
from cdk_onnx_inference.image import _commands
from onnx_handler import settings
from onnx_handler.jobs import api
from onnx_handler.protocol import open_inference


def test_environment_variables_are_the_same() -> None:
    assert _environment.NAMES == settings.NAMES


def test_all_names_are_in_the_list() -> None:
    constants = {value for name, value in vars(_environment).items() if name.isupper() and isinstance(value, str)}
    assert constants == _environment.NAMES


def test_routes_are_the_same_in_the_same_order() -> None:
    assert open_inference.ROUTES == _routes.ROUTES
    assert api.ROUTES == _routes.JOB_ROUTES


@pytest.mark.parametrize("command", [value for name, value in vars(_commands).items() if name.isupper()])
def test_the_command_is_there(command: str) -> None:
    module, name = command.rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), name))
