"""What pages state in words and figures is what the repository does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from aws_cdk import App, Duration, Stack

from cdk_onnx_inference import InferenceFunction, InvalidInferenceConfig, ModelSource
from onnx_handler import settings
from onnx_inference.doctor.checks import ALL
from stacks import context
from tests.support import synth

DOCS = synth.ROOT / "docs"
HOURS, GIGABYTES = 730, 1769 / 1024


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_getting_started_names_targets_and_files_that_are_there() -> None:
    text = page("getting-started.md")
    targets = re.findall(r"^    make ([a-z-]+)$|`make ([a-z-]+)`", text, re.MULTILINE)
    named = {first or second for first, second in targets}
    assert {"demo", "local", "clean"} <= named
    subprocess.run(["make", "--dry-run", *sorted(named)], cwd=synth.ROOT, check=True, capture_output=True)
    (file,) = re.findall(r"image=@(\S+)", text)
    assert (synth.ROOT / file).is_file()


def test_stacks_that_are_named_are_there() -> None:
    for document in ("getting-started.md", "architecture.md", "costs.md"):
        for stack in re.findall(r"(?:cdk deploy|cdk destroy|local) ([A-Z]\w+)", page(document)):
            assert (synth.ROOT / "stacks" / f"{re.sub(r'(?<=[a-z])(?=[A-Z])', '_', stack).lower()}.py").is_file()


def test_codes_in_the_limits_are_real() -> None:
    sources = "\n".join(path.read_text() for path in (synth.ROOT / "constructs").rglob("*.py"))
    codes = [
        code
        for cell in re.findall(r"^\| ([^|]*)\|", page("limits.md"), re.MULTILINE)
        for code in re.findall(r"`((?:cdk-onnx-inference:)?[a-z]+(?:-[a-z0-9]+)+)`", cell)
    ]
    assert len(codes) >= 15
    assert [code for code in codes if f'"{code}"' not in sources] == []


def first_cells(text: str) -> set[str]:
    """What is code in the first cells of a page's tables."""
    cells = re.findall(r"^\| ((?:\\\||[^|])*)\|", text, re.MULTILINE)  # a bar in a cell is written \|
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


def test_environment_variables_are_listed() -> None:
    listed = {name for name in first_cells(page("environment-variables.md")) if name.isupper()}
    assert listed == settings.NAMES


def test_checks_of_the_doctor_are_listed() -> None:
    assert first_cells(page("doctor.md")) == {check.code for check in ALL}


def test_options_of_the_prebuilt_stacks_are_real() -> None:
    readme = (synth.ROOT / "README.md").read_text(encoding="utf-8")
    options = {cell.partition("=")[0] for cell in first_cells(readme) if "=" in cell}
    assert {"model", "memory", "cold_start"} <= options
    assert options <= set(context.KEYS)


def test_what_synth_says(tmp_path: Path) -> None:
    stack = Stack(App(outdir=str(tmp_path)), "Shop")
    with pytest.raises(InvalidInferenceConfig) as refused:
        InferenceFunction(
            stack,
            "Digits",
            model=ModelSource.in_image(synth.ROOT / "examples" / "digits" / "model.onnx"),
            memory_size=64,
            timeout=Duration.minutes(16),
        )
    assert f"```text\n{refused.value}\n```" in page("own-app.md")


def price(row: str) -> list[float]:
    (cells,) = re.findall(rf"^\| {re.escape(row)}[^|]*\| ([^|]*) \|", page("costs.md"), re.MULTILINE)
    return [float(amount) for amount in re.findall(r"\$([\d.]+\d)", cells)]


def test_costs_are_what_the_prices_give() -> None:
    text = page("costs.md")
    compute = price("Lambda, x86 / arm64, a GB-second")[0]
    request = price("Lambda, a million requests")[0]
    stands = price("provisioned concurrency, x86 / arm64, a GB-second of each environment")[0]
    works = price("and a GB-second of work in it")[0]
    kept = price("SnapStart, a GB-second kept")[0]
    http = price("HTTP API / REST API, a million requests")[0]
    message = price("SQS, a million requests")[0]
    write, read = price("DynamoDB on demand, a million writes / reads")[:2]
    month = HOURS * 3600

    def pings(hold: float) -> float:
        number = month / 300
        return number * hold * GIGABYTES * compute + number / 1e6 * request

    environment = month * GIGABYTES * stands
    online = [1e6 * 0.05 * GIGABYTES * compute, request, http, 0.75]
    jobs = [
        1e6 * 0.5 * GIGABYTES * compute,
        2 * http,
        2e6 * 0.03 * compute + 2 * request,
        1.2 * message,
        5 * write + read,
    ]
    for amount in (
        environment,
        month * GIGABYTES * kept,
        pings(0.1),
        pings(10),
        2 * 657_000 / 1e6 * message,
        *online,
        sum(online),
        *jobs,
        sum(round(part, 2) for part in jobs),
    ):
        assert f"${amount:.2f}" in text, f"${amount:.2f}"
    busy = environment / (GIGABYTES * (compute - works))
    assert f"{round(busy, -3):,.0f} busy seconds of a month's {month:,}" in text
    assert f"Below {busy / month:.0%} busy".replace("%", " %") in text
