"""Image assets without a container engine: the staged build context stands for the image.

The cloud assembly says which directory was staged for the tag of a function's image. The image has the content of that
directory in /var/task, so the directory becomes the task root.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from onnx_inference.local.lambda_host.invocation import NotServed

_REQUIREMENTS = Path("processing") / "requirements.txt"


@dataclass(frozen=True)
class ImageAsset:
    """One staged image: its directory and the Dockerfile's name in it."""

    tag: str
    directory: Path
    docker_file: str = "Dockerfile"

    def default_command(self) -> tuple[str, ...]:
        """The CMD of the Dockerfile, in its JSON form; empty when there is none."""
        path = self.directory / self.docker_file
        if not path.is_file():
            return ()
        found = re.findall(r"^\s*CMD\s+(\[.*\])\s*$", path.read_text(), flags=re.MULTILINE | re.IGNORECASE)
        return tuple(json.loads(found[-1])) if found else ()


class ImageAssets:
    """The images that the twin can run, by tag.

    Args:
        cache_directory: Where requirements of processing files are installed, one directory per set of them.
    """

    def __init__(self, cache_directory: Path | None = None) -> None:
        self._assets: dict[str, ImageAsset] = {}
        self._cache = cache_directory or _cache_directory()
        self._lock = threading.Lock()

    def add(self, asset: ImageAsset) -> None:
        """Make one image known."""
        self._assets[asset.tag] = asset

    def find(self, image_uri: str | None) -> ImageAsset:
        """The asset of an image URI.

        Raises:
            NotServed: No asset was staged under the URI's tag.
        """
        tag = (image_uri or "").rpartition(":")[2]
        asset = self._assets.get(tag)
        if asset is None:
            raise NotServed(
                f"No directory was staged for the image {image_uri!r}. The twin runs images that are assets of the app "
                "(DockerImageCode.from_image_asset); an image that exists only in a registry needs a container engine."
            )
        return asset

    def requirements_path(self, asset: ImageAsset) -> Path | None:
        """The directory with the installed requirements of the asset's processing file; None when it has none.

        Raises:
            NotServed: pip could not install them.
        """
        path = asset.directory / _REQUIREMENTS
        lines = _requirement_lines(path)
        if not lines:
            return None
        key = hashlib.sha256("\n".join([sys.version, *lines]).encode()).hexdigest()[:32]
        target = self._cache / key
        with self._lock:
            if not target.is_dir():
                _install(path, target)
        return target


def _requirement_lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _install(requirements: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="install-", dir=target.parent))
    try:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "--target", str(staging), "-r", str(requirements)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NotServed(f"pip could not install {requirements.name}:\n{done.stderr.strip()}")
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "onnx-inference" / "requirements"
