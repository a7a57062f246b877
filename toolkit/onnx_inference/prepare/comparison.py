"""Two packages side by side, measured now, on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .bench import Bench, Candidate, Measurement, thread_count
from .errors import Refused
from .goldens import run_feeds
from .model_package import ModelPackage, read_package
from .parity import OutputParity, compare, tolerance
from .session_process import SessionFailed
from .session_worker import read_arrays, write_arrays
from .steps import Steps


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of a comparison.

    Attributes:
        packages: The two packages.
        measured: Each with its own session options.
        parity: Of the second's outputs with the first's, on the first's golden inputs.
    """

    packages: tuple[ModelPackage, ModelPackage]
    measured: tuple[Measurement, Measurement]
    parity: Sequence[OutputParity]


def compare_packages(
    first: Path, second: Path, steps: Steps, *, memory_size: int, rounds: int, min_agreement: float | None
) -> Compared:
    """Measures both in turn on the first's goldens.

    Args:
        first: A package.
        second: Another.
        steps: Told about progress.
        memory_size: Memory of the function in MB. The number of threads to measure with follows from it.
        rounds: Processes for each.
        min_agreement: Refuse if less of the second's outputs agrees with the first's. Default: no limit.

    Raises:
        Refused: `package-missing`, `package-format` or `package-digest` of one; `compare-signatures`: the inputs or
            outputs differ; `model-fails`; `parity`: they agree less than required.
    """
    packages = (read_package(first), read_package(second))
    names = [[(spec["name"], spec["datatype"]) for spec in package.manifest["inputs"]] for package in packages]
    outputs = [{(spec["name"], spec["datatype"]) for spec in package.manifest["outputs"]} for package in packages]
    if sorted(names[0]) != sorted(names[1]) or outputs[0] != outputs[1]:
        raise Refused(
            "compare-signatures",
            f"{first} and {second} have different inputs or outputs.",
            "Compare packages of models that take and give the same tensors.",
        )
    feeds = [read_arrays(file) for file in packages[0].goldens()[0]]
    threads = thread_count(memory_size)
    candidates = [Candidate(package.graph, str(package.directory), package.session, threads) for package in packages]
    with tempfile.TemporaryDirectory() as scratch:
        timed = Path(scratch, "timed.npz")
        write_arrays(timed, feeds[0])
        try:
            with steps.step("Measuring both", 2 * rounds) as advance:
                runs = Bench(timed, rounds).measure(candidates, lambda runs: runs, advance)
            with steps.step("Comparing outputs"):
                results = [
                    run_feeds(candidate.graph, candidate.session, feeds, Path(scratch), threads=threads)
                    for candidate in candidates
                ]
        except SessionFailed as error:
            raise Refused("model-fails", f"onnxruntime: {error.message}", "Prepare both models again.") from None
    tolerances = {
        spec["name"]: tolerance(spec["datatype"], lossy=True, rtol=None, atol=None)
        for spec in packages[0].manifest["outputs"]
    }
    parity = compare(results[0], results[1], tolerances)
    for output in parity:
        if min_agreement is not None and output.agreement < min_agreement:
            raise Refused(
                "parity",
                f"Output {output.name!r} of {second} agrees with {first} on {output.agreement:.1%} of the golden rows; "
                f"{min_agreement:.1%} are required.",
                "Prepare the second with higher precision, or accept it with a lower --min-agreement.",
            )
    return Compared(packages, (Measurement.of(runs[candidates[0]]), Measurement.of(runs[candidates[1]])), parity)
