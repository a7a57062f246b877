"""A stack, and tests that review its template: see `test_shop.py`."""

from pathlib import Path

from aws_cdk import App, Stack

from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelSource

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"


def shop(app: App) -> Stack:
    """The stack of the shop."""
    stack = Stack(app, "Shop")
    service = InferenceFunction(stack, "Digits", model=ModelSource.in_image(MODEL, name="digits"))
    InferenceApi(stack, "Api", function=service)
    return stack


if __name__ == "__main__":
    made = App()
    shop(made)
    made.synth()
