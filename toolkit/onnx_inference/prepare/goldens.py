"""Golden samples: inputs, and what the original model makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import Refused
from .onnx_model import OnnxModel
from .parity import compare, tolerance
from .samples import Feed, SampleMaker, read_samples
from .session_options import SessionOptions
from .session_process import SessionFailed, run_session
from .session_worker import read_arrays, write_arrays
from .signature import Signature

_UNOPTIMIZED = SessionOptions(graph_optimization_level="disable")


@dataclass(frozen=True, slots=True)
class Goldens:
    """Samples with what is expected of them.

    Attributes:
        feeds: Inputs of each sample.
        expected: Outputs of each.
        seed: Of the random values; None for samples that were given.
    """

    feeds: list[Feed]
    expected: list[Feed]
    seed: int | None


def given_goldens(model: OnnxModel, signature: Signature, file: Path, scratch: Path) -> Goldens:
    """Takes the samples of a file.

    Args:
        model: The original.
        signature: Its signature.
        file: .npz with inputs, and outputs where they are known from elsewhere (the framework it was trained in).
        scratch: For files on the way.

    Raises:
        Refused: `samples-unfit`, `model-fails`, `goldens-not-finite`, or `goldens-differ`: the original does not give
            the expected outputs, so nothing that is made of it would.
    """
    feeds, expected = read_samples(file, signature, purpose="--goldens")
    try:
        outputs = run_original(model, feeds, scratch)
    except SessionFailed as error:
        raise Refused(
            "model-fails",
            f"The model fails with the samples of {file.name}: {error.message}",
            "Check names, shapes and values of the arrays against the model's inputs.",
        ) from None
    if expected is None:
        _refuse_non_finite(outputs, "Give inputs for which the model has an answer.")
        return Goldens(feeds, outputs, None)
    _refuse_non_finite(expected, "Leave such samples out.")
    tolerances = {
        tensor.name: tolerance(tensor.datatype, lossy=False, rtol=None, atol=None) for tensor in signature.outputs
    }
    for output in compare(expected, outputs, tolerances):
        if output.within < 1.0:
            raise Refused(
                "goldens-differ",
                f"The model as given does not give the expected {output.name!r}: {1 - output.within:.1%} of the values "
                f"are off, by up to {output.largest_difference:.3g}.",
                "The export is at fault, or the expected outputs are: export in evaluation mode, and save inputs and "
                "outputs of the same call.",
            )
    return Goldens(feeds, expected, None)


def made_up_goldens(
    model: OnnxModel, signature: Signature, seed: int, dims: Mapping[str, int], scratch: Path
) -> Goldens:
    """Makes samples up. Tries one kind after the other until the model runs and gives finite results.

    Args:
        model: The original.
        signature: Its signature.
        seed: Of the random values.
        dims: Sizes of open dimensions, by name.
        scratch: For files on the way.

    Raises:
        Refused: `dimension-unknown`, `model-fails`, `goldens-not-finite`.
    """
    failure: Refused | None = None
    hopeless = ""
    for kind, feeds in SampleMaker(model.proto, signature, seed, dims).attempts():
        if kind == hopeless:
            continue
        try:
            outputs = run_original(model, feeds, scratch)
            _refuse_non_finite(outputs, "Give real inputs with --goldens FILE.npz.")
        except SessionFailed as error:
            if error.stage == "died":
                raise Refused(
                    "model-fails", f"onnxruntime: {error.message}.", "Use a machine with more memory."
                ) from None
            failure = failure or Refused(
                "model-fails",
                f"The model fails with made-up inputs: {error.message}",
                "Say how large its open dimensions are with --dim NAME=SIZE, or give real inputs with "
                "--goldens FILE.npz.",
            )
        except Refused as refused:
            failure, hopeless = refused, kind
        else:
            return Goldens(feeds, outputs, seed)
    assert failure is not None
    raise failure


def timed_feed(goldens: Goldens, signature: Signature) -> Feed:
    """The inputs of the timed runs: one row of the first sample, where its rows are independent requests."""
    feed = goldens.feeds[0]
    open_rows = all(tensor.shape and tensor.shape[0] < 0 for tensor in (*signature.inputs, *signature.outputs))
    rows = {len(array) for array in (*feed.values(), *goldens.expected[0].values()) if array.ndim}
    if not open_rows or len(rows) != 1:
        return feed
    return {name: array[:1] for name, array in feed.items()}


def run_original(model: OnnxModel, feeds: Sequence[Feed], scratch: Path) -> list[Feed]:
    """Outputs of the model as it was given, unoptimised where onnxruntime can do that.

    Raises:
        SessionFailed: It fails both ways.
    """
    try:
        return run_feeds(model.path, _UNOPTIMIZED, feeds, scratch)
    except SessionFailed as error:
        if error.stage != "load":
            raise
        return run_feeds(model.path, SessionOptions(), feeds, scratch)


def run_feeds(
    graph: Path, session: SessionOptions, feeds: Sequence[Feed], scratch: Path, *, threads: int = 1
) -> list[Feed]:
    """Outputs for each feed, from one session.

    Raises:
        SessionFailed: It fails.
    """
    inputs, outputs = scratch / "inputs", scratch / "outputs"
    for folder in (inputs, outputs):
        folder.mkdir(exist_ok=True)
    files = [inputs / f"{number}.npz" for number in range(len(feeds))]
    for file, feed in zip(files, feeds, strict=True):
        write_arrays(file, feed)
    run_session(graph, session, threads=threads, feeds=files, outputs=outputs)
    return [read_arrays(outputs / file.name) for file in files]


def _refuse_non_finite(outputs: Sequence[Feed], fix: str) -> None:
    for number, sample in enumerate(outputs):
        for name, array in sample.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Refused(
                    "goldens-not-finite",
                    f"Output {name!r} of golden sample {number} has values that are infinite or no number: nothing can "
                    "be compared with them.",
                    fix,
                )
