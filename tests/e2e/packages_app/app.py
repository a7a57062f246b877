"""Every model package of a directory behind one API: `-c packages=DIRECTORY`."""

from pathlib import Path

from aws_cdk import App, Stack

from cdk_onnx_inference import ApiAuth, InferenceApi, InferenceFunction, ModelSource

app = App()
packages = sorted(Path(app.node.get_context("packages")).iterdir())
stack = Stack(app, "Packages")
function = InferenceFunction(stack, "Models", model=[ModelSource.in_image(package) for package in packages])
InferenceApi(stack, "Api", function=function, auth=ApiAuth.none(reason="the client under test cannot sign"))
app.synth()
