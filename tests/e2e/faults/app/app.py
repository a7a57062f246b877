"""Async inference on a small model, with a queue of its own whose messages come again soon."""

from aws_cdk import App, CfnOutput, Duration, Stack
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import ApiAuth, AsyncInference, InferenceFunction, JobNotices, ModelSource

app = App()
stack = Stack(app, "Faults")
service = InferenceFunction(
    stack, "Service", model=ModelSource.in_image(app.node.get_context("model")), memory_size=1769
)
dead_letters = sqs.Queue(stack, "DeadLetters", visibility_timeout=Duration.seconds(180))
queue = sqs.Queue(
    stack,
    "Queue",
    visibility_timeout=Duration.seconds(30),
    retention_period=Duration.days(14),
    dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=5),
)
topic = sns.Topic(stack, "Finished")
told = sqs.Queue(stack, "Told", retention_period=Duration.days(14))
topic.add_subscription(subscriptions.SqsSubscription(told, raw_message_delivery=True))
jobs = AsyncInference(
    stack,
    "Jobs",
    function=service,
    auth=ApiAuth.none(reason="served on loopback only"),
    timeout=Duration.seconds(30),
    job_timeout=Duration.minutes(15),
    batch_size=10,
    queue=queue,
    dead_letter_queue=dead_letters,
    notices=JobNotices.topic(topic),
    bucket=s3.Bucket(stack, "Payloads"),
)
CfnOutput(stack, "Endpoint", value=jobs.url)
CfnOutput(stack, "JobsTable", value=jobs.table.table_name)
CfnOutput(stack, "JobsQueue", value=queue.queue_url)
CfnOutput(stack, "DeadLetterQueue", value=dead_letters.queue_url)
CfnOutput(stack, "ParkedQueue", value=jobs.parked_queue.queue_url)
CfnOutput(stack, "ToldQueue", value=told.queue_url)
CfnOutput(stack, "Sweeper", value=jobs.sweeper.function.function_name)
CfnOutput(stack, "Worker", value=jobs.worker.function.function_name)
CfnOutput(stack, "Bucket", value=jobs.bucket.bucket_name)
app.synth()
