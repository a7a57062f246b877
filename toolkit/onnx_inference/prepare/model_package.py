"""The model package: a directory with graph, weights, manifest and golden samples. See docs/model-package.md."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Refused
from .onnx_model import GRAPH
from .samples import Feed
from .session_options import SessionOptions
from .session_worker import write_arrays
from .weight_files import DATA

MANIFEST = "manifest.json"
GOLDENS = "goldens"
GOLDENS_INDEX = "goldens.json"
FORMAT = "cdk-onnx-inference/model-package"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package on disk.

    Attributes:
        directory: The package.
        manifest: Its manifest.
    """

    directory: Path
    manifest: Mapping[str, Any]

    @property
    def graph(self) -> Path:
        """The .onnx file."""
        return self.directory / GRAPH

    @property
    def session(self) -> SessionOptions:
        """The session options that it asks for."""
        return SessionOptions.from_manifest(self.manifest["session"])

    @property
    def size(self) -> int:
        """Bytes of the graph and its weights."""
        return sum(part["size"] for part in self.manifest["parts"])

    def goldens(self) -> tuple[list[Path], list[Path]]:
        """Files with inputs and with expected outputs, sample by sample."""
        folder = self.directory / GOLDENS
        index = json.loads((folder / GOLDENS_INDEX).read_text(encoding="utf-8"))
        return (
            [folder / sample["inputs"] for sample in index["samples"]],
            [folder / sample["outputs"] for sample in index["samples"]],
        )


def is_package(directory: Path) -> bool:
    """Whether a directory is a model package, of whatever format version."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def read_package(directory: Path) -> ModelPackage:
    """Reads a package and makes sure that its parts are what its manifest says.

    Raises:
        Refused: `package-missing`, `package-format`, `package-digest`.
    """
    again = "Prepare the model again."
    if not is_package(directory):
        raise Refused(
            "package-missing",
            f"{directory} is no model package: it has no {MANIFEST} of one.",
            "Make one: onnx-inference prepare MODEL.onnx -o DIR",
        )
    manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("format_version") != FORMAT_VERSION:
        raise Refused(
            "package-format",
            f"{directory} is in package format {manifest.get('format_version')}; this release reads {FORMAT_VERSION}.",
            again,
        )
    try:
        SessionOptions.from_manifest(manifest["session"])
        parts = [(str(part["path"]), part["size"]) for part in manifest["parts"]]
        digest = manifest["digest"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused("package-format", f"{directory / MANIFEST} is not as it should be: {error!r}.", again) from None
    files = {name: directory / name for name, _ in parts}
    for name, size in parts:
        if name not in (GRAPH, DATA) or not files[name].is_file() or files[name].stat().st_size != size:
            raise Refused("package-digest", f"{directory} lacks {name}, or it has another size.", again)
    if digest_of(files) != digest:
        raise Refused("package-digest", f"The parts of {directory} are not those that {MANIFEST} was made for.", again)
    return ModelPackage(directory, manifest)


def digest_of(files: Mapping[str, Path]) -> str:
    """Digest over the names and contents of the parts: that of the text that `sha256sum` prints for them.

    The constructs compute MODEL_DIGEST in the same way: `sha256sum model.onnx model.onnx.data | sha256sum`.
    """
    listing = hashlib.sha256()
    for name in sorted(files):
        listing.update(f"{_sha256(files[name])}  {name}\n".encode())
    return f"sha256:{listing.hexdigest()}"


def parts_of(directory: Path) -> list[dict[str, Any]]:
    """The manifest's `parts`: what the digest is over."""
    return [
        {"path": name, "size": (directory / name).stat().st_size, "sha256": _sha256(directory / name)}
        for name in (GRAPH, DATA)
        if (directory / name).is_file()
    ]


def write_goldens(
    directory: Path, feeds: Sequence[Feed], expected: Sequence[Feed], index: Mapping[str, Any], *, at_most: int
) -> None:
    """Writes sample inputs and expected outputs.

    Args:
        directory: The package.
        feeds: Inputs of each sample.
        expected: Outputs of each.
        index: What goldens.json says beside the list of samples.
        at_most: Bytes after which no further sample is written; the first always is.
    """
    folder = directory / GOLDENS
    folder.mkdir()
    samples: list[dict[str, str]] = []
    total = 0
    for number, (inputs, outputs) in enumerate(zip(feeds, expected, strict=True)):
        total += sum(array.nbytes for array in (*inputs.values(), *outputs.values()))
        if samples and total > at_most:
            break
        names = {"inputs": f"{number}.inputs.npz", "outputs": f"{number}.outputs.npz"}
        write_arrays(folder / names["inputs"], inputs)
        write_arrays(folder / names["outputs"], outputs)
        samples.append(names)
    text = json.dumps({**index, "samples": samples}, indent=2)
    (folder / GOLDENS_INDEX).write_text(f"{text}\n", encoding="utf-8")


def write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Writes manifest.json."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def check_target(target: Path, *, force: bool) -> None:
    """Makes sure that a package may be written there.

    Raises:
        Refused: `output-exists`.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise Refused("output-exists", f"{target} is there, and is no directory.", "Give another directory with -o.")
    for parent in target.parents:
        if parent.exists():
            if not parent.is_dir():
                raise Refused("output-exists", f"{parent} is no directory.", "Give a directory below one with -o.")
            break
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not is_package(target):
        raise Refused(
            "output-exists",
            f"{target} is there, and is no model package: it is never overwritten.",
            "Give a directory with -o that is not there yet.",
        )
    if not force:
        raise Refused(
            "output-exists",
            f"{target} is a model package already.",
            "Replace it with --force, or give another directory with -o.",
        )


@contextlib.contextmanager
def new_package(target: Path, *, force: bool) -> Iterator[tuple[Path, Path]]:
    """A directory beside the target that becomes the target if all goes well, and vanishes if not.

    Yields:
        The directory to fill, and one for what is needed on the way; both on the target's file system.

    Raises:
        Refused: `output-exists`.
    """
    check_target(target, force=force)
    target = Path(os.path.abspath(target))  # noqa: PTH100  a link in the path stays one
    target.parent.mkdir(parents=True, exist_ok=True)
    with _interruptible(), tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        package, scratch = Path(beside, "package"), Path(beside, "scratch")
        package.mkdir()
        scratch.mkdir()
        yield package, scratch
        check_target(target, force=force)
        if target.is_dir() and any(target.iterdir()):
            target.rename(Path(beside, "replaced"))
            try:
                package.rename(target)
            except BaseException:
                Path(beside, "replaced").rename(target)
                raise
        else:
            package.rename(target)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Turns a request to terminate into an exception, so that nothing half made stays behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def move_parts(files: Sequence[Path], directory: Path) -> None:
    """Moves a graph and its weights into the package."""
    for file in files:
        file.rename(directory / file.name)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
