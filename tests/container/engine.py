"""podman, set up so that it builds and runs on any machine where this is root, and leaves nothing behind.

runc, because crun refuses a hybrid cgroup hierarchy; both limits set, because raising them needs a capability that a
sandbox may lack. The store lies in a directory of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LAMBDA_BASE = "public.ecr.aws/lambda/python:3.13"
STANDIN = "localhost/lambda-standin:3.13"

_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
{volumes}
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Engine:
    """podman with a store in `directory`.

    Attributes:
        base: the image that the Dockerfile's FROM means: AWS's own, or one that stands for it.
        directory: where podman is to be run: conmon writes a file `oom` there when a container has no memory left.
    """

    def __init__(self, directory: Path, base: str) -> None:
        self.base = base
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        # pip inside a build needs the machine's certificates; the image itself is run without them.
        volumes = ""
        if CERTIFICATES.exists():
            pip_conf = directory / "pip.conf"
            pip_conf.write_text(f"[global]\ncert = {CERTIFICATES}\n")
            volumes = f'volumes = ["{pip_conf}:/etc/pip.conf:ro", "{CERTIFICATES}:{CERTIFICATES}:ro"]'
        (directory / "build.conf").write_text(_CONTAINERS_CONF.format(volumes=volumes))
        (directory / "run.conf").write_text(_CONTAINERS_CONF.format(volumes=""))
        (directory / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/store"\nrunroot = "{directory}/run"\n'
        )

    @staticmethod
    def missing() -> list[str]:
        """What this machine lacks to run any of it."""
        lacking = [tool for tool in ("podman", "runc", "unshare") if shutil.which(tool) is None]
        if "LAMBDA_BASE" not in os.environ and shutil.which("mmdebstrap") is None:
            lacking.append("mmdebstrap (or LAMBDA_BASE, naming a base image that can be pulled)")
        return lacking + ([] if os.geteuid() == 0 else ["root"])

    def environment(self, *, building: bool) -> dict[str, str]:
        """What makes any caller's podman use this store and these settings."""
        return {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
            "CONTAINERS_CONF": str(self.directory / ("build.conf" if building else "run.conf")),
        }

    def podman(self, *arguments: str, building: bool = False) -> str:
        """Runs podman and returns what it printed.

        Raises:
            AssertionError: it failed; the text is what it wrote.
        """
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, env=self.environment(building=building), check=False
        )
        assert done.returncode == 0, f"podman {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def build(self, tag: str, context: Path, arguments: Mapping[str, str] | None = None) -> str:
        """Builds a context whose Dockerfile begins at AWS's base image, unmodified, and returns the tag."""
        # A named build context takes the place of the base in every stage.
        standin = [f"--build-context={LAMBDA_BASE}=container-image://{self.base}"] if self.base != LAMBDA_BASE else []
        built = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        self.podman("build", "--quiet", f"--tag={tag}", *standin, *built, str(context), building=True)
        return tag

    def close(self) -> None:
        """Removes containers that a failed test left running."""
        self.podman("rm", "--all", "--force", "--time=0")


def prepare_base(engine_directory: Path, cache: Path) -> Engine:
    """An engine that has the base image: the real one where LAMBDA_BASE names it, else the stand-in, built here.

    Args:
        engine_directory: where the store goes.
        cache: keeps the stand-in's root file system between runs.
    """
    if real := os.environ.get("LAMBDA_BASE"):
        engine = Engine(engine_directory, real)
        engine.podman("pull", "--quiet", real, building=True)
        return engine
    engine = Engine(engine_directory, STANDIN)
    cache.mkdir(parents=True, exist_ok=True)
    rootfs = cache / "rootfs.tar"
    if not rootfs.exists():
        _make_rootfs(rootfs)
    context = engine_directory / "standin"
    shutil.copytree(Path(__file__).parent / "standin", context, dirs_exist_ok=True)
    shutil.copyfile(rootfs, context / "rootfs.tar")
    engine.podman("build", "--quiet", f"--tag={STANDIN}", str(context), building=True)
    return engine


def _make_rootfs(rootfs: Path) -> None:
    """Debian trixie, because its Python is the 3.13 that the Dockerfile's base has."""
    partial = rootfs.with_suffix(".partial.tar")
    subprocess.run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--include=python3,python3-pip,python3-venv,ca-certificates",
            *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale")),
            '--customize-hook=touch "$1/etc/pip.conf"',
            "trixie",
            str(partial),
        ],
        check=True,
    )
    partial.rename(rootfs)
