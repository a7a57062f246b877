"""Every three choices together: each combination makes the template that it says, or is refused with its code and fix.

The combinations are generated: all of two or three arguments occur in one row or another, whatever the rest. Rows that
are legal share a few stacks and one synth.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Size, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import (
    ApiType,
    ColdStart,
    InferenceApi,
    InferenceFunction,
    InvalidInferenceConfig,
    ModelFileSystem,
    ModelPart,
    ModelS3Files,
    ModelSource,
    ProvisionedConcurrency,
    WarmerTrigger,
)
from tests.support import models, synth

Row = Mapping[str, str]

CHOICES: Mapping[str, tuple[str, ...]] = {
    "strategy": ("on-demand", "warmer", "rule", "provisioned", "scaled", "snap-start"),
    "source": ("image", "s3", "s3-large", "efs", "s3-files"),
    "storage": ("default", "512", "1024"),
    "architecture": ("x86_64", "arm64"),
    "api": ("none", "http", "rest"),
    "reserved": ("none", "0", "3", "20"),
}
MEGABYTE = 1000**2
STRATEGIES: Mapping[str, ColdStart] = {
    "on-demand": ColdStart.on_demand(),
    "warmer": ColdStart.warmer(concurrency=4),
    "rule": ColdStart.warmer(concurrency=2, trigger=WarmerTrigger.RULE),
    "provisioned": ColdStart.provisioned(ProvisionedConcurrency(min_capacity=3)),
    "scaled": ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2, max_capacity=10)),
    "snap-start": ColdStart.snap_start(),
}
AT_ONCE = {"warmer": 4, "rule": 2, "provisioned": 3, "scaled": 10}
OVER_RESERVED = {
    "warmer": "warmer-over-reserved",
    "rule": "warmer-over-reserved",
    "provisioned": "provisioned-over-reserved",
    "scaled": "provisioned-over-reserved",
}


def covering() -> list[Row]:
    """Rows such that each three values of different arguments are together in at least one, greedily few."""
    names = list(CHOICES)
    left = {
        frozenset(zip(three, values, strict=True))
        for three in itertools.combinations(names, 3)
        for values in itertools.product(*(CHOICES[name] for name in three))
    }
    every = [dict(zip(names, values, strict=True)) for values in itertools.product(*(CHOICES[name] for name in names))]
    threes = [[frozenset(three) for three in itertools.combinations(row.items(), 3)] for row in every]
    rows: list[Row] = []
    position = 0
    while left:
        # The best of a window of candidates: nearly as few rows as the best of all, and found much sooner.
        window = [(position + step * 37) % len(every) for step in range(160)]
        best = max(window, key=lambda number: sum(three in left for three in threes[number]))
        position += 1009
        if not left.isdisjoint(threes[best]):
            left.difference_update(threes[best])
            rows.append(every[best])
    return rows


ROWS = covering()


def refusals(row: Row) -> set[str]:
    """The codes that a row must be refused with, from AWS's own tables and not from the code under test."""
    codes = set()
    strategy, source = row["strategy"], row["source"]
    storage = 1024 if row["storage"] == "1024" or (source == "s3-large" and row["storage"] == "default") else 512
    if strategy == "snap-start" and source in ("efs", "s3-files"):
        codes.add("snap-start-file-system")
    if strategy == "snap-start" and storage > 512:
        codes.add("snap-start-ephemeral-storage")
    if source == "s3-large" and row["storage"] == "512":
        codes.add("ephemeral-storage-too-small")
    if row["reserved"] != "none" and int(row["reserved"]) < AT_ONCE.get(strategy, 0):
        codes.add(OVER_RESERVED[strategy])
    return codes


LEGAL = [row for row in ROWS if not refusals(row)]
ILLEGAL = [row for row in ROWS if refusals(row)]


@dataclass(frozen=True)
class Sources:
    """Models of every source, for the functions of one stack."""

    in_stack: Mapping[str, ModelSource]

    @classmethod
    def of(cls, stack: Stack, package: Path) -> Sources:
        bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
        parts = [
            ModelPart("model.onnx", 1000, "0" * 64),
            ModelPart("model.onnx.data", 700 * MEGABYTE, "1" * 64),
        ]
        return cls(
            {
                "image": ModelSource.in_image(package),
                "s3": ModelSource.from_s3(package),
                "s3-large": ModelSource.from_bucket(bucket=bucket, prefix="large", parts=parts),
                "efs": ModelSource.on_efs(package, file_system=ModelFileSystem(stack, "Efs")),
                "s3-files": ModelSource.on_s3_files(package, file_system=ModelS3Files(stack, "S3Files")),
            }
        )


def make(stack: Stack, construct_id: str, row: Row, sources: Sources) -> InferenceFunction:
    service = InferenceFunction(
        stack,
        construct_id,
        model=sources.in_stack[row["source"]],
        cold_start=STRATEGIES[row["strategy"]],
        ephemeral_storage_size=None if row["storage"] == "default" else Size.mebibytes(int(row["storage"])),
        architecture=lambda_.Architecture.ARM_64 if row["architecture"] == "arm64" else lambda_.Architecture.X86_64,
        reserved_concurrent_executions=None if row["reserved"] == "none" else int(row["reserved"]),
    )
    if row["api"] != "none":
        api_type = ApiType.rest_api() if row["api"] == "rest" else ApiType.http_api()
        InferenceApi(stack, f"{construct_id}Api", function=service, api_type=api_type)
    return service


@dataclass(frozen=True)
class Made:
    """One function, as it is in the template."""

    row: Row
    function: dict[str, Any]
    alias: dict[str, Any]
    version: dict[str, Any]
    beside: dict[str, list[dict[str, Any]]]
    """Type -> properties, of the resources that name the alias."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save_package(tmp_path_factory.mktemp("combinations") / "digits")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, package: Path) -> list[Made]:
    app: App = synth.new_app(tmp_path_factory.mktemp("combinations") / "cdk.out")
    per_stack = 16  # below the 500 resources of a stack
    batches = [LEGAL[start : start + per_stack] for start in range(0, len(LEGAL), per_stack)]
    stacks = []
    for number, batch in enumerate(batches):
        stack = Stack(app, f"Stack{number}")
        sources = Sources.of(stack, package)
        services = [make(stack, f"Row{index}x", row, sources) for index, row in enumerate(batch)]
        stacks.append((stack, batch, services))
    assembly = app.synth()
    return [
        part
        for stack, batch, services in stacks
        for part in _parts(stack, assembly.get_stack_by_name(stack.stack_name).template, batch, services)
    ]


def _parts(
    stack: Stack, template: synth.Template, batch: list[Row], services: list[InferenceFunction]
) -> Iterator[Made]:
    resources = template["Resources"]
    for row, service in zip(batch, services, strict=True):
        alias_id = stack.resolve(service.alias.function_arn)["Ref"]
        reference = json.dumps({"Ref": alias_id})
        beside: dict[str, list[dict[str, Any]]] = {}
        targets: list[str] = []
        for name, resource in resources.items():
            if reference in json.dumps(resource.get("Properties", {})):
                beside.setdefault(resource["Type"], []).append(resource["Properties"])
                targets += [name] if resource["Type"].endswith("ScalableTarget") else []
        for resource in resources.values():
            if (
                resource["Type"].endswith("ScalingPolicy")
                and resource["Properties"]["ScalingTargetId"]["Ref"] in targets
            ):
                beside.setdefault(resource["Type"], []).append(resource["Properties"])
        alias = resources[alias_id]["Properties"]
        version = resources[alias["FunctionVersion"]["Fn::GetAtt"][0]]
        yield Made(row, resources[alias["FunctionName"]["Ref"]]["Properties"], alias, version, beside)


def test_every_three_choices_are_together_somewhere() -> None:
    for three in itertools.combinations(CHOICES, 3):
        for values in itertools.product(*(CHOICES[name] for name in three)):
            assert any(tuple(row[name] for name in three) == values for row in ROWS)


def test_the_table_refuses_neither_all_nor_nothing(made: list[Made]) -> None:
    assert len(made) == len(LEGAL) > 50
    assert len(ILLEGAL) > 20
    for name, values in CHOICES.items():
        assert {row[name] for row in LEGAL} == set(values)
    assert {row["strategy"] for row in ILLEGAL} == set(CHOICES["strategy"])


@pytest.mark.parametrize("row", ILLEGAL, ids=lambda row: "-".join(row.values()))
def test_is_refused_with_its_code_and_fix(row: Row, illegal_stack: tuple[Stack, Sources]) -> None:
    stack, sources = illegal_stack
    with pytest.raises(InvalidInferenceConfig) as raised:
        make(stack, f"Row{ILLEGAL.index(row)}x", row, sources)
    problems = raised.value.problems
    assert {problem.code for problem in problems} == refusals(row)
    assert all(problem.got and problem.allowed and problem.fix for problem in problems)


@pytest.fixture(scope="module")
def illegal_stack(tmp_path_factory: pytest.TempPathFactory, package: Path) -> tuple[Stack, Sources]:
    stack = Stack(synth.new_app(tmp_path_factory.mktemp("combinations") / "cdk.out"), "Illegal")
    return stack, Sources.of(stack, package)


def test_snap_start_is_where_it_was_chosen(made: list[Made]) -> None:
    for part in made:
        chosen = part.row["strategy"] == "snap-start"
        assert part.function.get("SnapStart") == ({"ApplyOn": "PublishedVersions"} if chosen else None)
        assert part.version["DeletionPolicy"] == ("Delete" if chosen else "Retain")
        if chosen:
            assert part.function.get("EphemeralStorage", {"Size": 512}) == {"Size": 512}
            assert "FileSystemConfigs" not in part.function


def test_provisioned_concurrency_is_where_it_was_chosen(made: list[Made]) -> None:
    for part in made:
        initial = {"provisioned": 3, "scaled": 2}.get(part.row["strategy"])
        config = None if initial is None else {"ProvisionedConcurrentExecutions": initial}
        assert part.alias.get("ProvisionedConcurrencyConfig") == config
        targets = part.beside.get("AWS::ApplicationAutoScaling::ScalableTarget", [])
        bounds = [(target["MinCapacity"], target["MaxCapacity"]) for target in targets]
        assert bounds == ([(2, 10)] if part.row["strategy"] == "scaled" else [])
        policies = part.beside.get("AWS::ApplicationAutoScaling::ScalingPolicy", [])
        assert len(policies) == (2 if part.row["strategy"] == "scaled" else 0)
        assert "RoutingConfig" not in part.alias


def test_pings_are_where_a_warmer_was_chosen(made: list[Made]) -> None:
    for part in made:
        schedules = part.beside.get("AWS::Scheduler::Schedule", [])
        assert len(schedules) == (4 if part.row["strategy"] == "warmer" else 0)
        assert {schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] for schedule in schedules} <= {0}
        targets = [target for rule in part.beside.get("AWS::Events::Rule", []) for target in rule["Targets"]]
        assert len(targets) == (2 if part.row["strategy"] == "rule" else 0)


def test_nothing_else_changes_with_the_choice(made: list[Made]) -> None:
    for part in made:
        row = part.row
        assert part.function["Architectures"] == [row["architecture"]]
        assert part.function.get("ReservedConcurrentExecutions") == (
            None if row["reserved"] == "none" else int(row["reserved"])
        )
        assert ("FileSystemConfigs" in part.function) == (row["source"] in ("efs", "s3-files"))
        downloaded = "MODEL_OBJECTS" in part.function["Environment"]["Variables"]
        assert downloaded == (row["source"] in ("s3", "s3-large"))
        storage = part.function.get("EphemeralStorage", {"Size": 512})["Size"]
        assert storage == (
            int(row["storage"]) if row["storage"] != "default" else 765 if row["source"] == "s3-large" else 512
        )


def test_the_alias_is_what_apis_invoke(made: list[Made]) -> None:
    for part in made:
        http = part.beside.get("AWS::ApiGatewayV2::Integration", [])
        rest = part.beside.get("AWS::ApiGateway::Method", [])
        assert bool(http) == (part.row["api"] == "http")
        assert bool(rest) == (part.row["api"] == "rest")


def test_the_version_waits_for_its_model(made: list[Made]) -> None:
    for part in made:
        awaited = json.dumps(part.version.get("DependsOn", []))
        assert ("ReadModel" in awaited) == (part.row["source"] in ("s3", "s3-large"))
        assert ("Publish" in awaited) == (part.row["source"] in ("efs", "s3-files"))
