"""Composes the Docker context: the runtime, the model, the user's processing.

The context is a directory of links. CDK follows them, so it hashes the contents and copies each file once, into
`cdk.out/asset.<hash>`; afterwards the links are removed. Only the files named here are in it: neither bytecode nor
editors' leavings, so a checkout and an installed wheel make the same hash on every machine.
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
from cdk_onnx_inference.models._model_files import MAX_BYTES
from cdk_onnx_inference.models._signature import SIGNATURES

from . import _runtime_assets
from .service_image import AnyServiceImage, EcrImage

HTTP_HANDLER = "onnx_handler.http.handler"
"""Command of the image for a function behind an API. One image serves many functions: each has a command of its own."""

PUBLISH_HANDLER = "onnx_handler.publish.handler"
"""Command for the function that puts models on a mounted file system."""

QUEUE_HANDLER = "onnx_handler.queue.handler"
"""Command for the worker, which takes jobs from a queue."""

JOB_API_HANDLER = "onnx_handler.job_api.handler"
"""Command for the function that takes jobs in and answers for them."""

DEAD_LETTERS_HANDLER = "onnx_handler.dead_letters.handler"
"""Command for the function that records why jobs were given up."""

SWEEP_HANDLER = "onnx_handler.sweep.handler"
"""Command for the function that records which jobs are past their deadline."""

VERIFY_HANDLER = "onnx_handler.verify.handler"
"""The command of the hooks of a deployment."""

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
"""In place of a model: the Dockerfile copies the directory, and an empty one may get lost between synth and build."""

_RUNTIME_BYTES = 800 * 1000**2
"""What the image holds besides: AWS's base, Python, onnxruntime and numpy; with room for the next release of each."""
_BYTECODE = (".pyc", ".pyo")

Context = Mapping[str, Path]
"""Relative posix name in the image's task root -> file on this machine."""


def compose(path: str, model: Context, processing: Context) -> tuple[dict[str, Path], list[Problem]]:
    """Puts the parts together.

    Args:
        path: Prefix of the problems' paths: that of the construct.
        model: Contents of the image's `model/`.
        processing: Contents of its `processing/`; these replace the runtime's own, which are empty.

    Returns:
        The context, a problem for each file of the user's whose place another one takes, and one if the image would
        be too large.
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
    signatures: str | None = None,
    image: AnyServiceImage | None = None,
) -> Iterator[lambda_.DockerImageCode]:
    """The image as code for a `DockerImageFunction`, which must be made inside the `with` block.

    Args:
        scope: The construct that will own the function; its path names the links' directory.
        context: What `compose` returned.
        model_digest: Of the models in the image, or empty. It goes into the asset's hash: CDK hashes a file that has
            no zero byte in its first 8 KiB as text, which makes all bytes that are no UTF-8 the same, so two sets of
            weights could have one hash.
        architecture: The function's; the image's platform is derived from it, so the two cannot differ.
        command: The image's command, e.g. `HTTP_HANDLER`.
        signatures: Content of the file with the models' signatures. Default: the runtime's own, which knows none.
        image: Where it comes from. Default: it is built of the context.
    """
    if isinstance(image, EcrImage):
        yield lambda_.DockerImageCode.from_ecr(image.repository, tag_or_digest=image.digest, cmd=[command])
        return
    directory = _links_directory(scope, context, signatures or "")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        for name, file in context.items():
            link = directory / name
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(file, link)
        if signatures is not None:
            (directory / SIGNATURES).unlink()
            (directory / SIGNATURES).write_text(signatures, encoding="utf-8")
        yield lambda_.DockerImageCode.from_image_asset(
            str(directory),
            cmd=[command],
            platform=_platform(architecture),
            follow_symlinks=SymlinkFollowMode.ALWAYS,
            extra_hash=model_digest,
        )
    finally:
        if not scope.node.try_get_context("aws:cdk:disable-asset-staging"):  # else the template names the links
            shutil.rmtree(directory, ignore_errors=True)


def _links_directory(scope: Construct, context: Context, signatures: str) -> Path:
    """A directory in the cloud assembly, the same at every synth of the same files.

    CDK remembers the hashes of large files by directory, within a process and on disk: a random temporary directory
    would make it read the weights again at each synth, and one that says nothing of the files would mislead it.
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


def _platform(architecture: lambda_.Architecture) -> ecr_assets.Platform:
    return ecr_assets.Platform.custom(architecture.docker_platform)


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
