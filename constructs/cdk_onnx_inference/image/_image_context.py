"""Composes the Docker context of the image: the runtime, the models, the user's processing.

The context is a directory of symbolic links. CDK follows them: it hashes the contents and copies each file once, into
`cdk.out/asset.<hash>`. Then the links are removed. The context has only the files that are named here, without bytecode
and files of editors, so that a checkout and an installed wheel have the same hash on every machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aws_cdk import Stage, SymlinkFollowMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.models._local_model import MAX_BYTES
from cdk_onnx_inference.models._signature import SIGNATURES

from . import _runtime_assets
from .service_image import AnyServiceImage, EcrImage

MODEL_DIRECTORY = "model"
PROCESSING_DIRECTORY = "processing"

_RUNTIME_FILES = (
    "Dockerfile",
    ".dockerignore",
    "requirements.txt",
    f"{PROCESSING_DIRECTORY}/requirements.txt",
    SIGNATURES,
)
_RUNTIME_PACKAGE = "onnx_handler"
_NO_MODEL = f"{MODEL_DIRECTORY}/README"
"""Stands in for a model: the Dockerfile copies the directory, and an empty one may get lost between synth and build."""

_RUNTIME_BYTES = 800 * 1000**2
"""Size of the rest of the image: AWS's base, Python, onnxruntime and numpy, and some room for their next releases."""
_BYTECODE = (".pyc", ".pyo")

Context = Mapping[str, Path]
"""Relative POSIX name in the image's task root -> file on this machine."""


def compose(path: str, model: Context, processing: Context) -> tuple[dict[str, Path], list[Problem]]:
    """Puts the files together.

    Args:
        path: Prefix of the problems' paths: the construct's.
        model: Contents of the image's `model/`.
        processing: Contents of the image's `processing/`. They replace the runtime's own empty requirements.

    Returns:
        The context, and a problem for each file with the name of another one, and for an image that would be too large.
    """
    runtime = _runtime_assets.runtime_directory()
    context = _runtime_files(runtime)
    if not model:
        context[_NO_MODEL] = runtime / _NO_MODEL
    problems = []
    taken = {name.casefold(): name for name in context}
    taken.pop(f"{PROCESSING_DIRECTORY}/requirements.txt", None)
    for argument, directory, files in (
        ("model", MODEL_DIRECTORY, model),
        ("processing", PROCESSING_DIRECTORY, processing),
    ):
        for name, file in files.items():
            target = f"{directory}/{name}"
            other = taken.setdefault(target.casefold(), target)
            if other is not target:
                problems.append(
                    Problem(
                        "image-file-collision",
                        f"{path}.{argument}",
                        f"{target!r} twice in the image (as {other!r})",
                        "one file for each name, upper and lower case being the same",
                        "Rename one of them.",
                    )
                )
            context[target] = file
    size = sum(file.stat().st_size for file in context.values()) + _RUNTIME_BYTES
    if size > MAX_BYTES:
        problems.append(
            Problem(
                "image-too-large",
                f"{path}.model",
                f"an image of some {size / 1000**3:.1f} GB",
                "less than 10 GB with its runtime, uncompressed",
                "Quantise the model, serve fewer in one function, or put it elsewhere: ModelSource.on_efs.",
            )
        )
    return context, problems


@contextmanager
def docker_image_code(
    scope: Construct,
    context: Context,
    *,
    model_digest: str,
    architecture: lambda_.Architecture,
    command: str,
    signatures: str,
    image: AnyServiceImage,
) -> Iterator[lambda_.DockerImageCode]:
    """The image as code for a `DockerImageFunction`, which must be made inside the `with` block.

    Args:
        scope: The construct that will own the function. Its path names the directory with the links.
        context: What `compose` returned.
        model_digest: Digest of the models in the image, or empty. It becomes part of the asset's hash, because CDK's
            own hash could be the same for two sets of weights: it reads a file without a zero byte in its first 8 KiB
            as text, in which all bytes that are not UTF-8 look the same.
        architecture: The function's. The image is built for the same.
        command: The image's command, one of `_commands`.
        signatures: Content of the file with the models' signatures.
        image: Where the image comes from.
    """
    if isinstance(image, EcrImage):
        yield lambda_.DockerImageCode.from_ecr(image.repository, tag_or_digest=image.digest, cmd=[command])
        return
    directory = _links_directory(scope, context, signatures)
    shutil.rmtree(directory, ignore_errors=True)
    try:
        for name, file in context.items():
            link = directory / name
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(file, link)
        (directory / SIGNATURES).unlink()
        (directory / SIGNATURES).write_text(signatures, encoding="utf-8")
        yield lambda_.DockerImageCode.from_image_asset(
            str(directory),
            cmd=[command],
            platform=ecr_assets.Platform.custom(architecture.docker_platform),
            follow_symlinks=SymlinkFollowMode.ALWAYS,
            extra_hash=model_digest,
        )
    finally:
        if not scope.node.try_get_context("aws:cdk:disable-asset-staging"):  # without staging, the template names them
            shutil.rmtree(directory, ignore_errors=True)


def _links_directory(scope: Construct, context: Context, signatures: str) -> Path:
    """A directory in the cloud assembly: the same one for the same files, at every synth.

    CDK caches the hashes of large files by directory, in the process and on disk. With a random directory it would read
    the weights again at each synth; with a fixed one it would miss that files have changed.
    """
    stage = Stage.of(scope)
    if stage is None:
        raise TypeError("an inference function must be inside a stack of an app")
    identity = hashlib.sha256(f"{scope.node.path}\n{signatures}".encode())
    for name, file in sorted(context.items()):
        status = file.stat()
        identity.update(f"\n{name}\0{status.st_size}\0{status.st_mtime_ns}\0{file}".encode())
    return Path(stage.asset_outdir).absolute() / f".image-context-{identity.hexdigest()[:16]}"


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file.resolve())
    except OSError:  # Windows without the privilege to make links
        shutil.copyfile(file, link)


def _runtime_files(runtime: Path) -> dict[str, Path]:
    files = {name: runtime / name for name in _RUNTIME_FILES}
    for directory, subdirectories, names in os.walk(runtime / _RUNTIME_PACKAGE):
        subdirectories[:] = sorted(name for name in subdirectories if not _is_debris(name))
        for name in sorted(names):
            if not _is_debris(name):
                file = Path(directory, name)
                files[file.relative_to(runtime).as_posix()] = file
    return files


def _is_debris(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__" or name.endswith(_BYTECODE)
