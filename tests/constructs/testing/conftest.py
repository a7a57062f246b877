"""Small stacks that hold data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from tests.support import synth

Build = Callable[[Stack], None]


@pytest.fixture
def template(tmp_path: Path) -> Callable[[Build], dict[str, Any]]:
    """Synthesises a stack of the name `Shop`."""
    count = iter(range(100))

    def made(build: Build) -> dict[str, Any]:
        app = synth.new_app(tmp_path / f"cdk.out{next(count)}")
        stack = Stack(app, "Shop")
        build(stack)
        return synth.template_of(stack)

    return made


def table(scope: Construct, construct_id: str = "Table", *, key: str = "id", retain: bool = True) -> None:
    dynamodb.TableV2(
        scope,
        construct_id,
        partition_key=dynamodb.Attribute(name=key, type=dynamodb.AttributeType.STRING),
        removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
    )


def function(scope: Construct, *, digest: str = "one", memory_size: int = 512, provisioned: int = 0) -> None:
    made = lambda_.Function(
        scope,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): pass"),
        environment={"MODEL_DIGEST": digest},
        memory_size=memory_size,
    )
    lambda_.Alias(
        scope,
        "Alias",
        alias_name="live",
        version=made.current_version,
        provisioned_concurrent_executions=provisioned or None,
    )
