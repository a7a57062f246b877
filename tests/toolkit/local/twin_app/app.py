"""A user's own app: what the twin must serve without having been told of it."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_apigateway as rest
from aws_cdk import aws_apigatewayv2 as http
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_apigatewayv2_authorizers import HttpIamAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from aws_cdk.aws_applicationautoscaling import CfnScalableTarget
from aws_cdk.aws_lambda_event_sources import SqsEventSource

IMAGE = str(Path(__file__).resolve().parent / "image")

app = App()
stack = Stack(app, "Twin")
greeting = app.node.try_get_context("greeting") or "one"
function = lambda_.DockerImageFunction(
    stack,
    "Function",
    code=lambda_.DockerImageCode.from_image_asset(IMAGE, cmd=["handlers.proxy"]),
    environment={"GREETING": greeting},
    memory_size=256,
)
alias = function.add_alias("live")

api = http.HttpApi(stack, "Http", default_authorizer=HttpIamAuthorizer())
integration = HttpLambdaIntegration("Integration", alias)
api.add_routes(path="/{proxy+}", methods=[http.HttpMethod.ANY], integration=integration)
api.add_routes(
    path="/open/{name}",
    methods=[http.HttpMethod.GET],
    integration=integration,
    authorizer=http.HttpNoneAuthorizer(),
)

rest_api = rest.LambdaRestApi(stack, "Rest", handler=alias, binary_media_types=["*/*"])
url = alias.add_function_url(auth_type=lambda_.FunctionUrlAuthType.AWS_IAM)

queue = sqs.Queue(stack, "Queue")
worker = lambda_.DockerImageFunction(
    stack, "Worker", code=lambda_.DockerImageCode.from_image_asset(IMAGE, cmd=["handlers.log"])
)
worker.add_event_source(SqsEventSource(queue, batch_size=1))

CfnScalableTarget(
    stack,
    "Scaling",
    max_capacity=2,
    min_capacity=1,
    resource_id=f"function:{function.function_name}:live",
    scalable_dimension="lambda:function:ProvisionedConcurrency",
    service_namespace="lambda",
)
CfnOutput(stack, "HttpUrl", value=api.url or "")
CfnOutput(stack, "RestUrl", value=rest_api.url)
CfnOutput(stack, "FunctionUrl", value=url.url)
CfnOutput(stack, "QueueUrl", value=queue.queue_url)
app.synth()
