"""A new model gets traffic when it has answered its golden samples, and somebody is told when it does badly."""

from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns

from cdk_onnx_inference import (
    CanaryDeployment,
    InferenceApi,
    InferenceFunction,
    InferenceMonitoring,
    ModelSource,
    Severity,
)

PACKAGE = Path(__file__).resolve().parent / "package"  # onnx-inference prepare digits/model.onnx -o package

app = App()
stack = Stack(app, "Shop")
service = InferenceFunction(stack, "Digits", model=ModelSource.in_image(PACKAGE, name="digits"))
api = InferenceApi(stack, "Api", function=service)

CanaryDeployment(stack, "Rollout", function=service)

on_call = sns.Topic(stack, "OnCall", enforce_ssl=True)
monitoring = InferenceMonitoring(stack, "Monitoring", function=service, api=api)
monitoring.add_alarms(
    actions={Severity.CRITICAL: [actions.SnsAction(on_call)]},
    thresholds={"error-rate": {Severity.WARNING: 0.5}},
    without=["throttles"],
)
app.synth()
