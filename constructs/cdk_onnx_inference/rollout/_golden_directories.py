"""Finds the golden samples of a service's models, and checks them as far as synth can."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cdk_onnx_inference import _validation
from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.functions._live_function import Service
from cdk_onnx_inference.models._served_model import ServedModel
from cdk_onnx_inference.models.model_source import LocalModel

from .goldens import AnyGoldens, GivenGoldens, NoGoldens

_MOST_BYTES = 3 * 1024**2
"""Limit of a sample's file. As JSON it can be twice as long, and Lambda accepts 6 MB."""


def find(path: str, service: Service, goldens: AnyGoldens) -> tuple[list[tuple[ServedModel, Path]], list[Problem]]:
    """The directory with the samples of each model.

    Args:
        path: The problems' path.
        service: The service with the models.
        goldens: What the user gave.

    Returns:
        Models with their directories, and the problems. No models with `Goldens.none`.
    """
    if isinstance(goldens, NoGoldens):
        return [], _validation.reason(path, goldens.reason)
    if isinstance(goldens, GivenGoldens):
        return _given(path, service.models, goldens)
    if service.processed:
        return [], [
            Problem(
                "goldens-processing",
                path,
                "Goldens.of_packages() for a function with processing",
                "samples of what clients send and get",
                "Record some, and give Goldens.at({model: directory}). The package's samples are for the model itself, "
                "without processing.",
            )
        ]
    found, problems = [], []
    for model in service.models:
        directory = Path(model.source.path) / "goldens" if isinstance(model.source, LocalModel) else None
        if directory is None or not (directory / "goldens.json").is_file():
            problems.append(_missing(path, model.name))
            continue
        problems += _check(path, directory)
        found.append((model, directory))
    return found, problems


def _given(
    path: str, models: Sequence[ServedModel], goldens: GivenGoldens
) -> tuple[list[tuple[ServedModel, Path]], list[Problem]]:
    directories = dict(goldens.directories)
    problems = [
        Problem(
            "goldens-unknown",
            path,
            f"samples of {name!r}",
            ", ".join(repr(model.name) for model in models),
            "Name a model of the function.",
        )
        for name in directories.keys() - {model.name for model in models}
    ]
    found = []
    for model in models:
        if model.name not in directories:
            problems.append(_missing(path, model.name))
            continue
        directory = Path(directories[model.name])
        problems += _check(path, directory)
        found.append((model, directory))
    return found, problems


def _missing(path: str, model: str) -> Problem:
    return Problem(
        "goldens-missing",
        path,
        f"no golden samples of {model!r}",
        "a package with goldens/, Goldens.at(...), or Goldens.none(reason=...)",
        "Prepare the model, which makes samples: onnx-inference prepare MODEL.onnx -o DIRECTORY.",
    )


def _check(path: str, directory: Path) -> list[Problem]:
    file = directory / "goldens.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        samples = [directory / sample[part] for sample in document["samples"] for part in ("inputs", "outputs")]
        wrong = "" if samples else "has no samples"
        if not isinstance(document["outputs"], dict):
            wrong = "has no tolerances of outputs"
    except (OSError, ValueError, LookupError, TypeError) as error:
        samples, wrong = [], f"cannot be read: {error!r}"
    for sample in samples:
        if not sample.is_file():
            wrong = f"names {sample.name!r}, which is not there"
        elif sample.stat().st_size > _MOST_BYTES:
            wrong = f"names {sample.name!r}, which has {sample.stat().st_size} bytes"
    if not wrong:
        return []
    return [
        Problem(
            "goldens-invalid",
            path,
            f"{str(file)!r}, which {wrong}",
            f"golden samples as docs/model-package.md describes them, of at most {_MOST_BYTES} bytes each",
            "Prepare the model again, or correct the file.",
        )
    ]
