"""A service whose model is in a bucket that somebody else fills."""

from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import ApiAuth, InferenceApi, InferenceFunction, ModelSource

app = App()
stack = Stack(app, "OwnBucket")
given = app.node.try_get_context
model = ModelSource.from_bucket(
    bucket=s3.Bucket.from_bucket_name(stack, "Bucket", given("bucket")),
    prefix=given("prefix"),
    manifest=given("manifest"),
    name="digits",
)
function = InferenceFunction(stack, "Inference", model=model)
api = InferenceApi(stack, "Api", function=function, auth=ApiAuth.none(reason="the client under test cannot sign"))
CfnOutput(stack, "Endpoint", value=api.url)
CfnOutput(stack, "FunctionName", value=function.function.function_name)
app.synth()
