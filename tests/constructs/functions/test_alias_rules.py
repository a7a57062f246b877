"""What is refused at synth when it is added to a function or its alias."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import ColdStart, InferenceFunction, ModelSource
from tests.constructs.conftest import properties
from tests.support import synth

Make = Callable[..., InferenceFunction]


@pytest.fixture
def make(stack: Stack, model: ModelSource) -> Make:
    def function(cold_start: ColdStart | None = None, **options: Any) -> InferenceFunction:
        return InferenceFunction(stack, "Digits", model=model, cold_start=cold_start, **options)

    return function


def codes_at_synth(stack: Stack) -> list[str]:
    with pytest.raises(RuntimeError) as raised:
        synth.template_of(stack)
    return re.findall(r"\[([a-z-]+)\]$", str(raised.value), re.MULTILINE)


def cfn_alias(service: InferenceFunction) -> lambda_.CfnAlias:
    resource = service.alias.node.default_child
    assert isinstance(resource, lambda_.CfnAlias)
    return resource


def cfn_function(service: InferenceFunction) -> lambda_.CfnFunction:
    resource = service.function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)
    return resource


@pytest.mark.parametrize("cold_start", [ColdStart.provisioned(), ColdStart.on_demand()])
def test_weights_by_hand_exclude_provisioned_concurrency(make: Make, stack: Stack, cold_start: ColdStart) -> None:
    cfn_alias(make(cold_start)).routing_config = lambda_.CfnAlias.AliasRoutingConfigurationProperty(
        additional_version_weights=[
            lambda_.CfnAlias.VersionWeightProperty(function_version="1", function_weight=0.1),
        ]
    )
    if cold_start == ColdStart.on_demand():
        assert "RoutingConfig" in properties(stack, "AWS::Lambda::Alias")[0]
    else:
        assert codes_at_synth(stack) == ["alias-weights"]


@pytest.mark.parametrize("cold_start", [ColdStart.on_demand(), ColdStart.warmer(), ColdStart.snap_start()])
def test_scaling_that_is_added_to_another_choice_is_refused(make: Make, stack: Stack, cold_start: ColdStart) -> None:
    make(cold_start).alias.add_auto_scaling(min_capacity=1, max_capacity=5)
    assert codes_at_synth(stack) == ["provisioned-excluded"]


def test_scaling_to_nothing_that_is_added_to_a_fixed_number_is_refused(make: Make, stack: Stack) -> None:
    make(ColdStart.provisioned()).alias.add_auto_scaling(min_capacity=0, max_capacity=5)
    assert codes_at_synth(stack) == ["provisioned-range"]


def test_an_initial_number_that_is_added_to_snap_start_is_refused(make: Make, stack: Stack) -> None:
    alias = cfn_alias(make(ColdStart.snap_start()))
    alias.provisioned_concurrency_config = lambda_.CfnAlias.ProvisionedConcurrencyConfigurationProperty(
        provisioned_concurrent_executions=1
    )
    assert codes_at_synth(stack) == ["provisioned-excluded"]


@pytest.mark.parametrize("cold_start", [ColdStart.provisioned(), ColdStart.snap_start(), ColdStart.on_demand()])
def test_tenant_isolation_excludes_both(make: Make, stack: Stack, cold_start: ColdStart) -> None:
    cfn_function(make(cold_start)).tenancy_config = lambda_.CfnFunction.TenancyConfigProperty(
        tenant_isolation_mode="PER_TENANT"
    )
    if cold_start == ColdStart.on_demand():
        assert "TenancyConfig" in properties(stack, "AWS::Lambda::Function")[0]
    else:
        assert codes_at_synth(stack) == ["tenant-isolation"]


def test_a_queue_on_a_function_that_speaks_http_is_refused(make: Make, stack: Stack) -> None:
    queue = sqs.Queue(stack, "Queue", visibility_timeout=Duration.seconds(180))
    make(reserved_concurrent_executions=5).alias.add_event_source(
        event_sources.SqsEventSource(queue, max_concurrency=50)
    )
    assert codes_at_synth(stack) == ["event-source-unsupported", "max-concurrency-over-reserved"]
