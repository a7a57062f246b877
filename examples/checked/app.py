"""Each synth examines the templates: what loses work fails it, what costs money or time is in the report."""

from pathlib import Path

from aws_cdk import App, Stack, Validations

from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelSource
from onnx_inference.doctor.plugin import ServerlessInferenceChecks

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"

app = App()
Validations.of(app).add_plugins(ServerlessInferenceChecks())
stack = Stack(app, "Shop")
service = InferenceFunction(stack, "Digits", model=ModelSource.in_image(MODEL, name="digits"))
InferenceApi(stack, "Api", function=service)
app.synth()
