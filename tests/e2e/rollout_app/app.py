"""A package behind an API, rolled out and monitored: `-c package=DIRECTORY [-c shift=canary]`."""

from pathlib import Path

from aws_cdk import App, Duration, Stack

from cdk_onnx_inference import (
    ApiAuth,
    CanaryDeployment,
    InferenceApi,
    InferenceFunction,
    InferenceMonitoring,
    ModelSource,
    TrafficShift,
)

app = App()
stack = Stack(app, "Shop")
package = Path(app.node.get_context("package"))
service = InferenceFunction(stack, "Digits", model=ModelSource.in_image(package, name="digits"))
api = InferenceApi(stack, "Api", function=service, auth=ApiAuth.none(reason="the client under test cannot sign"))
canary = app.node.try_get_context("shift") == "canary"
CanaryDeployment(
    stack,
    "Rollout",
    function=service,
    shift=TrafficShift.canary(percentage=50, interval=Duration.minutes(2)) if canary else TrafficShift.all_at_once(),
)
InferenceMonitoring(stack, "Monitoring", function=service, api=api).add_alarms()
app.synth()
