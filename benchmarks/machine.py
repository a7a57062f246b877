"""The machine of a run: its size, and the versions of the packages. Nothing that identifies the machine."""

from __future__ import annotations

import os
import platform
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("onnxruntime", "numpy", "awslambdaric", "boto3", "fastapi", "mangum")


def described() -> dict[str, str]:
    """By name, ready to print."""
    return {
        "CPU": _field("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "load before the run": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_version()}, {_build()}",
        **{package: _version(package) for package in PACKAGES},
    }


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"


def _build() -> str:
    """An interpreter built without its optimisations takes longer over every line of Python."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return "profile-optimised"
    return "not profile-optimised"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
