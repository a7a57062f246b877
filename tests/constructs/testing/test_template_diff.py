from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference.testing import changes, normalised, summary
from cdk_onnx_inference.testing.__main__ import main
from cdk_onnx_inference.testing.template_diff import Concern

from .conftest import Build, function, table

Made = Callable[[Build], dict[str, Any]]


def nothing(stack: Stack) -> None:
    cloudwatch.Alarm(
        stack, "Kept", metric=cloudwatch.Metric(namespace="N", metric_name="M"), threshold=1, evaluation_periods=1
    )


def with_network(stack: Stack) -> None:
    nothing(stack)
    ec2.Vpc(stack, "Network", max_azs=1, nat_gateways=1)


def with_policy(stack: Stack) -> None:
    nothing(stack)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"]))


def open_route(stack: Stack) -> None:
    nothing(stack)
    api = apigatewayv2.HttpApi(stack, "Api")
    apigatewayv2.CfnRoute(stack, "Route", api_id=api.api_id, route_key="GET /", authorization_type="NONE")


def queue(stack: Stack, *, fifo: bool) -> None:
    sqs.Queue(stack, "Queue", fifo=fifo or None)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (table, lambda stack: table(stack, key="job"), "[DATA] replaces the table Table"),
        (lambda stack: table(stack, retain=False), nothing, "[DATA] DELETES the table Table"),
        (table, nothing, "[DATA] leaves the table Table"),
        (table, lambda stack: table(stack, retain=False), "[DATA] lets the table Table"),
        (lambda stack: queue(stack, fifo=False), lambda stack: queue(stack, fifo=True), "[DATA] replaces the queue"),
        (nothing, with_network, "[COST] adds a NAT gateway, NetworkPublicSubnet1NATGateway"),
        (nothing, with_policy, "grants s3:GetObject on every resource"),
        (nothing, open_route, "anybody may call it"),
        (function, lambda stack: function(stack, memory_size=1024), "MemorySize 512 -> 1024"),
        (
            function,
            lambda stack: function(stack, digest="two"),
            "publishes a new version of the function Function76856677 because MODEL_DIGEST changed",
        ),
        (function, lambda stack: function(stack, provisioned=2), "[COST] changes the alias Alias"),
    ],
)
def test_a_change_in_words(template: Made, before: Build, after: Build, said: str) -> None:
    assert said in summary(template(before), template(after))


def test_dollars(template: Made) -> None:
    text = summary(template(nothing), template(with_network))
    assert "NATGateway" in text
    assert "+$33/month" in text
    assert text.endswith("Fixed costs change by +$36 a month.")  # the gateway's address too
    # 2 x 0.5 GB x 2,628,000 s x $0.0000041667
    (found,) = changes(template(function), template(lambda s: function(s, provisioned=2)))
    assert found.monthly_cost == pytest.approx(10.95, abs=0.01)


def test_nothing_changes(template: Made) -> None:
    assert changes(template(function), template(function)) == []
    assert changes(template(table), template(table)) == []


def test_what_concerns_most_comes_first(template: Made) -> None:
    def before(stack: Stack) -> None:
        table(stack)
        function(stack)

    def after(stack: Stack) -> None:
        with_network(stack)
        function(stack, memory_size=1024)

    concerns = [change.concern for change in changes(template(before), template(after))]
    assert concerns[0] is Concern.DATA
    assert concerns == sorted(concerns, reverse=True)


def test_normalised_templates_differ_by_infrastructure_only(template: Made) -> None:
    one, two = (template(lambda stack, digest=digest: function(stack, digest=digest)) for digest in ("one", "two"))
    assert {change.type for change in changes(one, two)} == {"AWS::Lambda::Function", "AWS::Lambda::Version"} | {
        "AWS::Lambda::Alias"
    }
    masked_one, masked_two = normalised(one), normalised(two)
    assert masked_one["Resources"].keys() == masked_two["Resources"].keys()
    assert "BootstrapVersion" not in str(masked_one)


def test_the_command(template: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(template(table)))
    new.write_text(json.dumps(template(lambda stack: table(stack, key="job"))))
    assert main([str(old), str(old)]) == 0
    assert "no change" in capsys.readouterr().out
    assert main([str(old), str(new)]) == 1
    assert "replaces the table" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere"), str(new)]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert main([str(old)]) == 2
