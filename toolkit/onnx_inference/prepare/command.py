"""`onnx-inference prepare`: make a model package of an ONNX model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from onnx_inference.extras import MissingExtra, import_from_extra

from .errors import Refused

if TYPE_CHECKING:
    from .graph_variants import Precision
    from .report import Report

_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}
_EXTRA = "prepare"


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        if not match or match[2].upper() not in _UNITS:
            self.fail(f"{value!r} is no size: write it like 250MB or 1.5GiB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


class _Dimension(click.ParamType[tuple[str, int]]):
    name = "dimension"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        name, equals, size = value.rpartition("=")
        if not equals or not name or not size.isdecimal() or int(size) < 1:
            self.fail(f"{value!r} is no dimension: write it like sequence=128.", param, ctx)
        return name, int(size)


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("model", required=False, type=click.Path(exists=True, path_type=Path), metavar="[MODEL.onnx]")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="The package to make.")
@click.option(
    "--name", metavar="NAME", help="The model's name in the protocol. Default: that of the file or its directory."
)
@click.option("--model-version", metavar="N", help="The model's version in the protocol, a decimal number. Default: 1.")
@click.option(
    "--for",
    "objective",
    type=click.Choice(["balanced", "cold-start", "latency", "memory"]),
    help="What to choose the graph and session options by. Default: balanced.",
)
@click.option("--quantize", type=click.Choice(["int8"]), help="8-bit weights: dynamic, or static with --calibration.")
@click.option("--calibration", type=_FILE, metavar="FILE.npz", help="Real inputs that static quantisation learns from.")
@click.option("--fp16", is_flag=True, help="FP16 inside, same inputs and outputs. Fails where it is slower.")
@click.option(
    "--goldens",
    type=_FILE,
    metavar="FILE.npz",
    help="Real inputs, by name, and expected outputs if you have them. Default: made up from the signature.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of made-up inputs. Default: 0.")
@click.option(
    "--dim",
    "dims",
    multiple=True,
    type=_Dimension(),
    metavar="NAME=SIZE",
    help="Size of an open dimension in made-up inputs; repeatable. One without a name is INPUT:NUMBER.",
)
@click.option("--rtol", type=click.FloatRange(min=0), help="Relative tolerance. Default: by datatype, 1e-3 for FP32.")
@click.option("--atol", type=click.FloatRange(min=0), help="Absolute tolerance. Default: by datatype, 1e-4 for FP32.")
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Fail if less agrees with the original, 0 to 1.",
)
@click.option("--max-load-ms", type=click.FloatRange(min=0), metavar="MS", help="Fail if loading takes longer.")
@click.option("--max-size", type=_Size(), metavar="SIZE", help="Fail if graph and weights are larger, as 250MB.")
@click.option(
    "--memory-size",
    type=click.IntRange(128, 10240),
    default=1769,
    show_default=True,
    metavar="MB",
    help="The function's memory. The number of threads to measure with follows from it.",
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="Processes per candidate."
)
@click.option("--force", is_flag=True, help="Replace the package if DIR is one already.")
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR1 DIR2",
    help="Measure two packages side by side instead of making one.",
)
@click.pass_context
def prepare(ctx: click.Context, /, model: Path | None, output: Path | None, **options: Any) -> None:
    """Make a model package: checked, optimised, measured, with golden samples.

    MODEL.onnx is the model, or a directory that has model.onnx. The package is a directory that every option of the
    constructs for a model takes; see docs/model-package.md.

    Exit status: 0 when the package was made, 1 when the model was refused (the message says why, and what to do), 2
    when the options are wrong.
    """
    try:
        for module in ("numpy", "onnx", "onnxruntime"):
            import_from_extra(module, _EXTRA)
    except MissingExtra as error:
        raise click.ClickException(str(error)) from None
    from .report import Report

    report = Report(Console(highlight=False), Console(stderr=True, highlight=False))
    try:
        if options["compare"]:
            _compare(ctx, report, model, output, options)
        else:
            _prepare(report, model, output, options)
    except Refused as refusal:
        report.refused(refusal)
        ctx.exit(1)
    except OSError as error:
        raise click.ClickException(str(error)) from None


def _prepare(report: Report, model: Path | None, output: Path | None, options: dict[str, Any]) -> None:
    from .preparation import prepare as prepare_model
    from .request import Request

    if model is None or output is None:
        raise click.UsageError("MODEL.onnx and -o DIR are needed, or --compare DIR1 DIR2.")
    if options["calibration"] and not options["quantize"]:
        raise click.UsageError("--calibration is for --quantize int8.")
    if options["fp16"] and options["quantize"]:
        raise click.UsageError("--fp16 and --quantize exclude each other.")
    if options["goldens"] and (options["dims"] or options["seed"] is not None):
        raise click.UsageError("--dim and --seed are for made-up inputs; --goldens gives real ones.")
    name, version = options["name"], options["model_version"] or "1"
    if name is not None and not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise click.UsageError(
            f"--name {name!r}: letters, digits, '_', '.' and '-', at most 64, a letter or digit first."
        )
    if not re.fullmatch("[0-9]{1,18}", version):
        raise click.UsageError(f"--model-version {version!r}: a decimal number.")
    precision: Precision = "fp16" if options["fp16"] else "as-is"
    if options["quantize"]:
        precision = "int8-static" if options["calibration"] else "int8-dynamic"
    request = Request(
        model=model,
        output=output,
        name=name,
        version=version,
        objective=options["objective"] or "balanced",
        precision=precision,
        dims=dict(options["dims"]),
        seed=options["seed"] or 0,
        **{
            key: options[key]
            for key in (
                "calibration",
                "goldens",
                "rtol",
                "atol",
                "max_load_ms",
                "max_size",
                "min_agreement",
                "memory_size",
                "rounds",
                "force",
            )
        },
    )
    report.prepared(output, prepare_model(request, report))


def _compare(
    ctx: click.Context, report: Report, model: Path | None, output: Path | None, options: dict[str, Any]
) -> None:
    from .comparison import compare_packages

    allowed = {"compare", "memory_size", "rounds", "min_agreement"}
    given = {name for name, value in options.items() if value not in (None, (), False)} - allowed
    if model is not None or output is not None or given:
        raise click.UsageError("--compare goes with --memory-size, --rounds and --min-agreement alone.", ctx)
    first, second = options["compare"]
    report.compared(
        compare_packages(
            first,
            second,
            report,
            memory_size=options["memory_size"],
            rounds=options["rounds"],
            min_agreement=options["min_agreement"],
        )
    )
