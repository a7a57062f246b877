"""Finds the runtime directory (Dockerfile, handler, requirements) in an installed wheel and in a checkout.

It does not use `importlib.resources`, because CDK needs the path of a real directory. In an editable install the build
backend leaves an outdated copy of the runtime in site-packages. That copy is never used: this file is then in the
checkout.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def runtime_directory(package: Path = _PACKAGE) -> Path:
    """The directory that holds the runtime's Dockerfile.

    Args:
        package: Directory of this package.

    Raises:
        FileNotFoundError: It is in neither of the two places, which the message names. The installation is broken.
    """
    installed = package / "_runtime"
    checkout = package.parent.parent / "runtime"
    for candidate in (installed, checkout):
        if (candidate / "Dockerfile").is_file():
            return candidate
    raise FileNotFoundError(
        f"the inference runtime is missing: there is no Dockerfile in {installed} (where a wheel has it) "
        f"nor in {checkout} (where a checkout has it); reinstall cdk-onnx-inference"
    )
