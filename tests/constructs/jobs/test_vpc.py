"""Jobs of a service that runs in a VPC."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2

from cdk_onnx_inference import AsyncInference, InferenceFunction, ModelFileSystem, ModelSource
from tests.constructs.jobs.conftest import COMMANDS, SERVICE, Make, functions, reference, template
from tests.support import synth


@pytest.fixture
def on_efs(stack: Stack, model_path: Path) -> InferenceFunction:
    """A function with its model on EFS."""
    file_system = ModelFileSystem(stack, "Models")
    return InferenceFunction(stack, "Digits", model=ModelSource.on_efs(model_path, file_system=file_system))


def test_on_a_mount_only_the_worker_is_in_the_vpc(stack: Stack, on_efs: InferenceFunction) -> None:
    AsyncInference(stack, "Jobs", function=on_efs)
    made = functions(synth.template_of(stack))
    for command, properties in made.items():
        inside = command in (SERVICE, COMMANDS["Worker"], "onnx_handler.publish.handler")
        assert ("VpcConfig" in properties) is inside
        assert ("FileSystemConfigs" in properties) is inside
    assert made[COMMANDS["Worker"]]["FileSystemConfigs"] == made[SERVICE]["FileSystemConfigs"]
    assert len({json.dumps(function["Code"]) for function in made.values()}) == 1


def test_on_a_mount_there_are_gateway_endpoints_and_nothing_that_costs(stack: Stack, on_efs: InferenceFunction) -> None:
    AsyncInference(stack, "Jobs", function=on_efs)
    AsyncInference(stack, "MoreJobs", function=on_efs)
    made = synth.template_of(stack)
    endpoints = [endpoint["Properties"] for endpoint in synth.resources_of(made, "AWS::EC2::VPCEndpoint")]
    assert sorted(json.dumps(endpoint["ServiceName"]).rpartition(".")[2] for endpoint in endpoints) == [
        'dynamodb"]]}',
        's3"]]}',
    ]
    assert {endpoint["VpcEndpointType"] for endpoint in endpoints} == {"Gateway"}
    assert all(len(endpoint["RouteTableIds"]) == 2 for endpoint in endpoints)
    assert not synth.resources_of(made, "AWS::EC2::NatGateway")
    assert not synth.resources_of(made, "AWS::EC2::InternetGateway")


def test_without_jobs_there_is_no_endpoint_for_them(stack: Stack, on_efs: InferenceFunction) -> None:
    assert on_efs.alias
    assert len(synth.resources_of(synth.template_of(stack), "AWS::EC2::VPCEndpoint")) == 1


def test_the_worker_waits_for_the_models_publication(stack: Stack, on_efs: InferenceFunction) -> None:
    jobs = AsyncInference(stack, "Jobs", function=on_efs)
    (version,) = reference(jobs, jobs.worker.version.function_arn).values()
    depends = synth.template_of(stack)["Resources"][version]["DependsOn"]
    assert any("Publish" in name for name in depends)


def test_a_vpc_of_ones_own_has_nothing_added(make: Make, stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, subnet_configuration=[_isolated()])
    jobs = make(function={"vpc": vpc, "vpc_subnets": ec2.SubnetSelection(subnet_type=_isolated().subnet_type)})
    made = template(jobs)
    assert not synth.resources_of(made, "AWS::EC2::VPCEndpoint")
    assert "VpcConfig" in functions(made)[COMMANDS["Worker"]]
    assert "VpcConfig" not in functions(made)[COMMANDS["JobApi"]]


def _isolated() -> ec2.SubnetConfiguration:
    return ec2.SubnetConfiguration(name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
