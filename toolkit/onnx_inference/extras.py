"""Imports packages that only an extra of the distribution installs, and names the extra where one is missing."""

from importlib import import_module
from types import ModuleType


class MissingExtra(ImportError):
    """A command needs a package that only one of the extras installs."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"This command needs the Python package {module!r}, which is not installed. "
            f"Install it with: pip install 'cdk-onnx-inference[{extra}]'"
        )


def import_from_extra(module: str, extra: str) -> ModuleType:
    """Import a module that an extra installs.

    Args:
        module: The module's dotted name.
        extra: The extra's name.

    Raises:
        MissingExtra: The module's top-level package is not installed.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == package:
            raise MissingExtra(package, extra) from error
        raise
