"""Network, storage and compute in three stacks, because they change at different times.

    cdk deploy --all

A stack gets the resources of another as arguments of its constructor. CDK makes the references between the templates,
and deploys the stacks in the right order. The storage stack holds the data: it is protected from deletion, and a new
model or a new release does not change it.
"""

from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelFileSystem, ModelSource

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"


class Network(Stack):
    """Two isolated subnets, and the gateway endpoint through which models come from S3."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            nat_gateways=0,
            max_azs=2,
            subnet_configuration=[ec2.SubnetConfiguration(name="Models", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )


class Storage(Stack):
    """The file system with the models."""

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc) -> None:
        super().__init__(scope, construct_id, termination_protection=True)
        isolated = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.models = ModelFileSystem(self, "Models", vpc=vpc, vpc_subnets=isolated)


class Compute(Stack):
    """The function and its API: what a release changes."""

    def __init__(self, scope: Construct, construct_id: str, *, models: ModelFileSystem) -> None:
        super().__init__(scope, construct_id)
        model = ModelSource.on_efs(MODEL, file_system=models, name="digits")
        service = InferenceFunction(self, "Digits", model=model)
        InferenceApi(self, "Api", function=service)


app = App()
network = Network(app, "Network")
storage = Storage(app, "Storage", vpc=network.vpc)
Compute(app, "Compute", models=storage.models)
app.synth()
