"""A REST API that only a VPC can call, with keys and a usage plan for each caller.

`InferenceApi` makes Regional APIs. This app makes one private by two properties of the `CfnRestApi` that the construct
exposes: the type of the endpoint, and the policy. Routes, stage, access log, key and plan stay as the construct made
them. A VPC reaches a private API through an interface endpoint for `execute-api`, which costs $0.01 an hour in each
Availability Zone; the VPC of this app has two.
"""

from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from cdk_onnx_inference import ApiAuth, ApiType, InferenceApi, InferenceFunction, ModelSource, Throttle

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"

app = App()
stack = Stack(app, "Intranet")
network = ec2.Vpc(
    stack,
    "Network",
    nat_gateways=0,
    max_azs=2,
    subnet_configuration=[ec2.SubnetConfiguration(name="Callers", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
)
endpoint = network.add_interface_endpoint(
    "ExecuteApi", service=ec2.InterfaceVpcEndpointAwsService.APIGATEWAY, private_dns_enabled=True
)

service = InferenceFunction(
    stack,
    "Digits",
    model=ModelSource.in_image(MODEL, name="digits"),
    timeout=Duration.seconds(29),  # a REST API waits no longer
)
published = InferenceApi(
    stack,
    "Api",
    function=service,
    api_type=ApiType.rest_api(),
    auth=ApiAuth.api_key(),
    throttle=Throttle(rate_limit=50, burst_limit=100),
)

api = published.api.node.default_child
assert isinstance(api, apigateway.CfnRestApi)
api.endpoint_configuration = apigateway.CfnRestApi.EndpointConfigurationProperty(
    types=["PRIVATE"], vpc_endpoint_ids=[endpoint.vpc_endpoint_id]
)
api.policy = iam.PolicyDocument(
    statements=[
        iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],  # the key tells who calls; the condition allows calls from the VPC only
            actions=["execute-api:Invoke"],
            resources=["execute-api:/*"],
            conditions={"StringEquals": {"aws:SourceVpce": endpoint.vpc_endpoint_id}},
        )
    ]
)

# A second caller, with a key and a smaller plan of its own. The first key is `published.api_key`.
assert isinstance(published.api, apigateway.RestApi)
assert isinstance(published.stage, apigateway.Stage)
batch = apigateway.UsagePlan(
    stack,
    "BatchPlan",
    api_stages=[apigateway.UsagePlanPerApiStage(api=published.api, stage=published.stage)],
    throttle=apigateway.ThrottleSettings(rate_limit=5, burst_limit=5),
    quota=apigateway.QuotaSettings(limit=100_000, period=apigateway.Period.MONTH),
)
batch.add_api_key(apigateway.ApiKey(stack, "BatchKey", description="For the nightly batch"))

# The name resolves inside the VPC only, to the interface endpoint.
CfnOutput(stack, "Endpoint", value=published.url)
app.synth()
