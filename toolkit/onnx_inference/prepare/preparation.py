"""Makes a model package of a model: check, optimise, measure, choose, compare, write."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import batching
from .batching import Batching
from .bench import Bench, Candidate, Measurement, thread_count
from .errors import Refused
from .gates import check_gates
from .goldens import Goldens, given_goldens, made_up_goldens, run_feeds, timed_feed
from .graph_variants import make_variants, unoptimized
from .model_package import (
    FORMAT,
    FORMAT_VERSION,
    digest_of,
    move_parts,
    new_package,
    parts_of,
    write_goldens,
    write_manifest,
)
from .onnx_model import GRAPH, OnnxModel, load_proto, opsets, read_model, unknown_operator
from .onnxruntime_support import onnxruntime_version
from .parity import OutputParity, compare, tolerance
from .reasons import reasons_for
from .request import Request, default_name
from .samples import MAX_BYTES, Feed, read_samples
from .search import SearchResult, search
from .session_options import SessionOptions
from .session_process import SessionFailed, SessionRun, run_session
from .session_worker import write_arrays
from .signature import Signature, read_signature
from .steps import Steps

_NOT_RUNNABLE = re.compile("is not a registered function/op|No Op registered|find an implementation|NOT_IMPLEMENTED")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A package that was made.

    Attributes:
        manifest: Its manifest.
        before: The model as it was given, with onnxruntime's defaults.
        after: The package.
        size_before: Bytes of the model as it was given.
        size_after: Bytes of the package's graph and weights.
        parity: By output.
        batching: What a row costs by the number of rows; None where requests cannot share a run.
    """

    manifest: Mapping[str, Any]
    before: Measurement
    after: Measurement
    size_before: int
    size_after: int
    parity: Sequence[OutputParity]
    batching: Batching | None


def prepare(request: Request, steps: Steps) -> Prepared:
    """Makes the package.

    Args:
        request: What to prepare, and how.
        steps: Told about progress.

    Raises:
        Refused: The model cannot be served, or does not pass a gate. Nothing is written then.
    """
    with new_package(request.output, force=request.force) as (package, scratch):
        with steps.step("Reading the model"):
            given = read_model(request.model)
            model, loaded, mended = _loadable(given, scratch)
            signature = read_signature(model.proto, loaded.inputs, loaded.outputs)
        with steps.step("Running golden samples"):
            goldens = _goldens(model, signature, request, scratch)
        with steps.step("Optimising the graph"):
            variants, notes = make_variants(model, scratch, request.precision, _calibration(request, signature))
        timed = timed_feed(goldens, signature)
        write_arrays(scratch / "timed.npz", timed)
        bench = Bench(scratch / "timed.npz", request.rounds)
        original = Candidate(model.path, "as given", SessionOptions(), thread_count(request.memory_size))
        found = search(bench, original, variants, request.objective, steps)
        variant = next(variant for variant in variants if variant.path == found.best.graph)
        with steps.step("Measuring batches", len(batching.SIZES)) as advance:
            batches = batching.measure(found.best, signature, timed, scratch, advance)
        with steps.step("Comparing with the original"):
            parity = _parity(request, signature, goldens, found, scratch)
        check_gates(request, variant, found.before, found.after, parity)
        move_parts(variant.files, package)
        write_goldens(
            package, goldens.feeds, goldens.expected, _goldens_index(request, goldens, parity), at_most=2 * MAX_BYTES
        )
        manifest: dict[str, Any] = {
            **_identity(request, package, signature),
            "graph": {"optimization": variant.optimization, "precision": variant.precision},
            "session": found.session.to_manifest(),
            "objective": request.objective,
            "reasons": [*reasons_for(found, variant), *mended, *notes],
            "parity": [output.to_manifest() for output in parity],
            "measurements": _measurements(request, found, batches),
        }
        write_manifest(package, manifest)
    size = sum(part["size"] for part in manifest["parts"])
    return Prepared(manifest, found.before, found.after, given.size, size, parity, batches)


def _loadable(model: OnnxModel, scratch: Path) -> tuple[OnnxModel, SessionRun, list[str]]:
    """The model, a session of it, and what was changed about it.

    onnxruntime cannot load a model whose small tensors, such as shapes, are in a file of weights. Such a model is
    replaced by a copy that has them inside.
    """
    try:
        return model, _load(model), []
    except SessionFailed as error:
        if model.files and "external" in error.message:
            mended = read_model(unoptimized(model, scratch / "mended").path)
            with contextlib.suppress(SessionFailed):
                note = "The model as given does not load, because shapes are outside the graph: they are inside now."
                return mended, _load(mended), [note]
        raise _not_loadable(error.message, model.opsets().get("")) from None


def _load(model: OnnxModel) -> SessionRun:
    try:
        return run_session(model.path, SessionOptions(graph_optimization_level="disable"))
    except SessionFailed:
        return run_session(model.path, SessionOptions())


def _not_loadable(message: str, opset: int | None) -> Refused:
    if _NOT_RUNNABLE.search(message):
        return unknown_operator(message, opset)
    fix = "Export the model again, with the newest release of the exporter that you can use."
    if "locale" in message:
        fix = "Set the attribute locale of its StringNormalizer to 'C': Lambda has few others."
    return Refused("model-not-loadable", f"onnxruntime {onnxruntime_version()} does not load the model: {message}", fix)


def _goldens(model: OnnxModel, signature: Signature, request: Request, scratch: Path) -> Goldens:
    if request.goldens is not None:
        return given_goldens(model, signature, request.goldens, scratch)
    return made_up_goldens(model, signature, request.seed, request.dims, scratch)


def _calibration(request: Request, signature: Signature) -> list[Feed]:
    if request.calibration is None:
        return []
    return read_samples(request.calibration, signature, purpose="--calibration")[0]


def _parity(
    request: Request, signature: Signature, goldens: Goldens, found: SearchResult, scratch: Path
) -> list[OutputParity]:
    outputs = run_feeds(found.best.graph, found.session, goldens.feeds, scratch, threads=found.best.threads)
    tolerances = {
        tensor.name: tolerance(tensor.datatype, lossy=request.lossy, rtol=request.rtol, atol=request.atol)
        for tensor in signature.outputs
    }
    return compare(goldens.expected, outputs, tolerances)


def _goldens_index(request: Request, goldens: Goldens, parity: Sequence[OutputParity]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "seed": goldens.seed,
        "min_agreement": request.required_agreement if request.lossy else None,
        "outputs": {output.name: {"rtol": output.rtol, "atol": output.atol} for output in parity},
    }


def _identity(request: Request, package: Path, signature: Signature) -> dict[str, Any]:
    """The members of the manifest that say which model the package holds."""
    proto = load_proto(package / GRAPH)
    parts = parts_of(package)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": request.name or default_name(request.model),
        "version": request.version,
        "digest": digest_of({part["path"]: package / part["path"] for part in parts}),
        "parts": parts,
        "inputs": [tensor.to_manifest() for tensor in signature.inputs],
        "outputs": [tensor.to_manifest() for tensor in signature.outputs],
        "ir_version": proto.ir_version,
        "opset_imports": [{"domain": domain, "version": version} for domain, version in sorted(opsets(proto).items())],
        "onnxruntime": onnxruntime_version(),
    }


def _measurements(request: Request, found: SearchResult, batches: Batching | None) -> dict[str, Any]:
    stages = {"graph": found.graphs, "memory": found.memory, "threads": found.final}
    return {
        "machine": platform.machine(),
        "cpu": _cpu(),
        "memory_size": request.memory_size,
        "before": found.before.to_manifest(),
        "after": found.after.to_manifest(),
        "candidates": [
            {
                "stage": stage,
                "graph": candidate.label,
                "threads": candidate.threads,
                "session": candidate.session.to_manifest(),
                **Measurement.of(own).to_manifest(),
            }
            for stage, runs in stages.items()
            for candidate, own in runs.items()
        ],
        **({} if batches is None else {"batching": batches.to_manifest()}),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
