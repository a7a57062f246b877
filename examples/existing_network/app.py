"""Jobs from an existing queue, for a model on EFS in an existing VPC.

The VPC and the queue are imported and stay unchanged. CDK cannot read the settings of an imported queue, so synth warns
about those that its owner must check (`cdk-onnx-inference:existing-queue`). The subnets need no route to the internet:
gateway endpoints for S3 and DynamoDB are enough, and are free.
"""

from pathlib import Path

from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import AsyncInference, InferenceFunction, ModelFileSystem, ModelSource

MODEL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"
QUEUES = "arn:aws:sqs:eu-west-1:111122223333"

app = App()
stack = Stack(app, "Scans")
# With `env=` on the stack, ec2.Vpc.from_lookup(stack, "Network", vpc_id=...) asks the account instead.
network = ec2.Vpc.from_vpc_attributes(
    stack,
    "Network",
    vpc_id="vpc-0a1b2c3d",
    availability_zones=["eu-west-1a", "eu-west-1b"],
    private_subnet_ids=["subnet-0a1b2c3d", "subnet-1b2c3d4e"],
    private_subnet_route_table_ids=["rtb-0a1b2c3d", "rtb-1b2c3d4e"],
)
scans = sqs.Queue.from_queue_arn(stack, "ScansQueue", f"{QUEUES}:scans")
given_up = sqs.Queue.from_queue_arn(stack, "ScansDeadLetters", f"{QUEUES}:scans-dead-letters")

models = ModelFileSystem(stack, "Models", vpc=network)
reader = InferenceFunction(stack, "Reader", model=ModelSource.on_efs(MODEL, file_system=models, name="digits"))
AsyncInference(
    stack,
    "Jobs",
    function=reader,
    queue=scans,
    dead_letter_queue=given_up,
    timeout=Duration.minutes(1),  # `scans` should hide a message for 6 times as long
    max_concurrency=5,
)
app.synth()
