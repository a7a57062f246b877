"""A model behind an API, in an app of your own."""

from pathlib import Path

from aws_cdk import App, Stack

from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelSource

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"

app = App()
stack = Stack(app, "Shop")
service = InferenceFunction(stack, "Digits", model=ModelSource.in_image(MODEL, name="digits"))
InferenceApi(stack, "Api", function=service)
app.synth()
