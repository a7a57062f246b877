"""Finds the runtime directory (Dockerfile, handler, requirements) in an installed wheel and in a checkout.

Not `importlib.resources`: the path goes to CDK, which wants a real directory. In an editable install the build
backend leaves a stale copy of the runtime in site-packages; it is not looked at, because this file is then in the
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
        FileNotFoundError: It is in neither of the two places; the message names both. That is a broken installation,
            not a wrong configuration.
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
