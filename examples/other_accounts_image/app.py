"""An image that another account built and tested, taken by its digest: what was tested is what runs.

The other account synthesises this app without the digest, builds the image that `cdk synth` wrote (`docker build
cdk.out/asset.HASH`), and pushes it to its repository. The policy of the repository must allow Lambda to pull the image
for this account. This account then deploys the digest, and needs no Docker:

    cdk deploy -c digest=sha256:...
"""

from pathlib import Path

from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ecr as ecr

from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelSource, ServiceImage

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"
IMAGES = "arn:aws:ecr:eu-west-1:111122223333:repository/digits"

app = App()
stack = Stack(app, "Shop", env=Environment(account="444455556666", region="eu-west-1"))
digest = app.node.try_get_context("digest")
service = InferenceFunction(
    stack,
    "Digits",
    model=ModelSource.in_image(MODEL, name="digits"),
    image=ServiceImage.from_ecr(ecr.Repository.from_repository_arn(stack, "Images", IMAGES), digest=digest)
    if digest
    else ServiceImage.built(),
)
InferenceApi(stack, "Api", function=service)
app.synth()
