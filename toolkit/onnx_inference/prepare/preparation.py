"""Makes a model package of a model: check, optimise, measure, choose, compare, write."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import batching
from .batching import Batching
from .errors import Refused
from .goldens import Goldens, given_goldens, made_up_goldens, run_feeds, timed_feed
from .graph_variants import GraphVariant, Precision, make_variants, unoptimized
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
from .reasons import Found, reasons_for
from .samples import MAX_BYTES, Feed, read_samples
from .search import (
    Bench,
    Candidate,
    Measurement,
    Objective,
    choose,
    gains_from_threads,
    graph_candidates,
    is_busy,
    memory_candidates,
    promising,
    thread_candidates,
    thread_count,
)
from .session_options import SessionOptions
from .session_process import SessionFailed, SessionRun, run_session
from .session_worker import write_arrays
from .signature import Signature, read_signature

LOSSY_MIN_AGREEMENT = 0.95
"""Share of the goldens on which a quantised or FP16 model must agree, unless the user says otherwise."""

FP16_SLOWER = 1.05
"""From this on FP16 is slower than FP32, not just measured so."""

_NOT_RUNNABLE = re.compile("is not a registered function/op|No Op registered|find an implementation|NOT_IMPLEMENTED")


class Steps(Protocol):
    """Shows how far the work is."""

    def step(self, what: str, total: int | None = None) -> AbstractContextManager[Callable[[], None]]:
        """A step that takes a while; the context gives what to call after each of `total` parts of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to prepare, and how.

    Attributes:
        model: The .onnx file, or a directory that has `model.onnx`.
        output: The package to make.
        name: The model's name in the protocol. Default: the file's, or the directory's for `model.onnx`.
        version: The model's version in the protocol.
        objective: What to choose session options by.
        precision: Lower precision, where wanted.
        calibration: .npz file with inputs, for `int8-static`.
        goldens: .npz file with inputs and maybe expected outputs. Default: made up from the signature.
        seed: Of made-up samples.
        dims: Sizes of open dimensions of made-up samples.
        rtol: Relative tolerance. Default: by datatype.
        atol: Absolute tolerance. Default: by datatype.
        max_load_ms: Fail if loading takes longer.
        max_size: Fail if graph and weights have more bytes.
        min_agreement: Fail if less agrees, 0 to 1. Default: 0.95 for quantised and FP16 models; for others the
            tolerances decide alone.
        memory_size: Memory of the function in MB, which decides the threads to measure with.
        rounds: Processes per candidate.
        force: Replace a package that is there.
    """

    model: Path
    output: Path
    name: str | None = None
    version: str = "1"
    objective: Objective = "balanced"
    precision: Precision = "as-is"
    calibration: Path | None = None
    goldens: Path | None = None
    seed: int = 0
    dims: Mapping[str, int] = field(default_factory=dict)
    rtol: float | None = None
    atol: float | None = None
    max_load_ms: float | None = None
    max_size: int | None = None
    min_agreement: float | None = None
    memory_size: int = 1769
    rounds: int = 5
    force: bool = False

    @property
    def lossy(self) -> bool:
        """Whether outputs are expected to differ."""
        return self.precision != "as-is"

    @property
    def required_agreement(self) -> float | None:
        """The least agreement that passes; None where the tolerances decide alone."""
        if self.min_agreement is None and self.lossy:
            return LOSSY_MIN_AGREEMENT
        return self.min_agreement


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
        batching: What a row costs by the number of rows; None where rows cannot be put on top of each other.
    """

    manifest: Mapping[str, Any]
    before: Measurement
    after: Measurement
    size_before: int
    size_after: int
    parity: Sequence[OutputParity]
    batching: Batching | None = None


def default_name(model: Path) -> str:
    """The name of the file, or of the directory when it is called `model.onnx`; what the protocol lacks is replaced."""
    path = model.absolute()
    stem = path.name if path.is_dir() else path.parent.name if path.name == GRAPH else path.stem
    return re.sub("^[^A-Za-z0-9]+", "", re.sub("[^A-Za-z0-9_.-]", "-", stem))[:64] or "model"


def prepare(request: Request, steps: Steps) -> Prepared:
    """Makes the package.

    Args:
        request: What to prepare, and how.
        steps: Told about progress.

    Raises:
        Refused: the model cannot be served, or does not pass a gate; nothing is written then.
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
        timed = scratch / "timed.npz"
        write_arrays(timed, timed_feed(goldens, signature))
        bench = Bench(timed, request.rounds)
        original = Candidate(model.path, "as given", SessionOptions(), thread_count(request.memory_size))
        found = _search(bench, original, variants, request.objective, steps)
        variant = next(variant for variant in variants if variant.path == found.best.graph)
        with steps.step("Measuring batches", len(batching.SIZES)) as advance:
            batches = batching.measure(found.best, signature, timed_feed(goldens, signature), scratch, advance)
        with steps.step("Comparing with the original"):
            parity = _parity(request, signature, goldens, found, scratch)
        _check_gates(request, variant, found.before, found.after, parity)
        move_parts(variant.files, package)
        write_goldens(
            package, goldens.feeds, goldens.expected, _goldens_index(request, goldens, parity), at_most=2 * MAX_BYTES
        )
        proto = load_proto(package / GRAPH)
        parts = parts_of(package)
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": request.name or default_name(request.model),
            "version": request.version,
            "digest": digest_of({part["path"]: package / part["path"] for part in parts}),
            "parts": parts,
            "inputs": [tensor.to_manifest() for tensor in signature.inputs],
            "outputs": [tensor.to_manifest() for tensor in signature.outputs],
            "ir_version": proto.ir_version,
            "opset_imports": [
                {"domain": domain, "version": version} for domain, version in sorted(opsets(proto).items())
            ],
            "onnxruntime": onnxruntime_version(),
            "graph": {"optimization": variant.optimization, "precision": variant.precision},
            "session": found.session.to_manifest(),
            "objective": request.objective,
            "reasons": [*reasons_for(found, variant), *mended, *notes],
            "parity": [output.to_manifest() for output in parity],
            "measurements": {
                **_measurements(request, found),
                **({} if batches is None else {"batching": batches.to_manifest()}),
            },
        }
        write_manifest(package, manifest)
    size = sum(part["size"] for part in parts)
    return Prepared(manifest, found.before, found.after, given.size, size, parity, batches)


def _loadable(model: OnnxModel, scratch: Path) -> tuple[OnnxModel, SessionRun, list[str]]:
    """The model, or where onnxruntime cannot load it for a small tensor that is outside, a copy that has it inside."""
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


def _search(
    bench: Bench, original: Candidate, variants: Sequence[GraphVariant], objective: Objective, steps: Steps
) -> Found:
    first = graph_candidates(variants, original.threads)
    try:
        with steps.step("Measuring graphs, levels, prepacking", len(first) * bench.rounds) as advance:
            graphs = bench.measure(first, promising(objective, []), advance)
    except SessionFailed as error:
        raise Refused(
            "model-fails", f"What was made of the model does not run: {error.message}", "Prepare it with other options."
        ) from None
    best = choose(graphs, first, objective)
    second = memory_candidates(best)
    with steps.step("Measuring the memory arena", len(second) * bench.rounds) as advance:
        memory = bench.measure(second, promising(objective, second), advance)
    best = choose(memory, second, objective)
    one, *several = thread_candidates(best)
    third = list(dict.fromkeys([original, best, one, *several]))
    with steps.step("Measuring threads, and the original", len(third) * bench.rounds) as advance:
        final = bench.measure(third, lambda runs: runs, advance)
    fixed = bool(several) and not is_busy() and not gains_from_threads(final, one, several[0])
    return Found(original, best, one if fixed else best, fixed, graphs, memory, final)


def _parity(
    request: Request, signature: Signature, goldens: Goldens, found: Found, scratch: Path
) -> list[OutputParity]:
    outputs = run_feeds(found.best.graph, found.session, goldens.feeds, scratch, threads=found.best.threads)
    tolerances = {
        tensor.name: tolerance(tensor.datatype, lossy=request.lossy, rtol=request.rtol, atol=request.atol)
        for tensor in signature.outputs
    }
    return compare(goldens.expected, outputs, tolerances)


def _check_gates(
    request: Request,
    variant: GraphVariant,
    before: Measurement,
    after: Measurement,
    parity: Sequence[OutputParity],
) -> None:
    for output in parity:
        _check_parity(request, output)
    if request.precision == "fp16" and after.warm > before.warm * FP16_SLOWER:
        raise Refused(
            "fp16-slower",
            f"A call takes {after.warm * 1e3:.3g} ms in FP16 and {before.warm * 1e3:.3g} ms as given: this CPU "
            f"({platform.machine()}) has no FP16 kernels in onnxruntime, which computes in FP32 and converts.",
            "Leave --fp16 out, use --quantize int8, or prepare on the architecture of the function if that is another.",
        )
    if request.max_size is not None and variant.size > request.max_size:
        raise Refused(
            "budget-size",
            f"Graph and weights have {variant.size / 1e6:.2f} MB; --max-size allows {request.max_size / 1e6:.2f}.",
            "Try --quantize int8, or raise --max-size.",
        )
    if request.max_load_ms is not None and after.load * 1e3 > request.max_load_ms:
        raise Refused(
            "budget-load",
            f"Loading takes {after.load * 1e3:.1f} ms; --max-load-ms allows {request.max_load_ms:g}.",
            "Try --for cold-start, --quantize int8, or raise --max-load-ms.",
        )


def _check_parity(request: Request, output: OutputParity) -> None:
    required = request.required_agreement
    if required is not None and output.agreement < required:
        fix = (
            "Give real inputs with --goldens (made-up ones are harder), quantise with --calibration FILE.npz, accept "
            "it with --min-agreement, or leave --quantize out."
            if request.precision.startswith("int8")
            else "Accept it with --min-agreement, or leave --fp16 out."
            if request.lossy
            else "Accept it with --min-agreement."
        )
        raise Refused(
            "parity",
            f"Output {output.name!r} agrees with the original on {output.agreement:.1%} of the golden rows; "
            f"{required:.1%} are required. The largest difference is {output.largest_difference:.3g}.",
            fix,
        )
    if not request.lossy and output.within < 1.0:
        raise Refused(
            "parity",
            f"Output {output.name!r} differs from the original by up to {output.largest_difference:.3g}: "
            f"{1 - output.within:.2%} of the values are out of tolerance (rtol {output.rtol:g}, "
            f"atol {output.atol:.3g}).",
            "If that is good enough, say so with --rtol and --atol. If the model draws random numbers, fix their seed "
            "in the export.",
        )


def _goldens_index(request: Request, goldens: Goldens, parity: Sequence[OutputParity]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "seed": goldens.seed,
        "min_agreement": request.required_agreement if request.lossy else None,
        "outputs": {output.name: {"rtol": output.rtol, "atol": output.atol} for output in parity},
    }


def _measurements(request: Request, found: Found) -> dict[str, Any]:
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
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
